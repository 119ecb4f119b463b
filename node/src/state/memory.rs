//! Huge pages for the ledger's large tables.
#![expect(unsafe_code, reason = "the system call has no safe form")]

use evenkeel_ledger::MemoryAdvice;

/// Asks the kernel for huge pages. A kernel without them fails the call, and the ledger is slower.
pub const HUGE_PAGES: MemoryAdvice = MemoryAdvice::new(|start, bytes| {
    // SAFETY: the range is memory of the ledger, and the advice doesn't change what it holds.
    let _ = unsafe { rustix::mm::madvise(start.cast(), bytes, rustix::mm::Advice::LinuxHugepage) };
});
