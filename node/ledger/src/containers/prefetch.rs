//! Hints to processor and kernel about memory. They change how fast the ledger is, never what it does.
#![expect(
    unsafe_code,
    reason = "the two hints have no safe form; neither reads nor writes anything"
)]

/// Asks the processor to fetch what `place` points at while other work goes on.
#[inline]
pub(crate) fn prefetch<T>(place: &T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch has no effect that a program can observe, whatever the address; this one is even valid.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(place).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}

const HUGE_PAGE_BYTES: usize = 2 << 20;

/// Asks the kernel to back large memory with huge pages, so that fewer page faults are taken and fewer address
/// translations missed. A kernel that has none says no; then it's slower, and that's all.
pub(crate) fn prefer_huge_pages<T>(memory: &mut [T]) {
    let start = memory.as_mut_ptr().cast::<u8>();
    let before = start.align_offset(HUGE_PAGE_BYTES);
    let rest = size_of_val(memory).saturating_sub(before);
    let length = rest.saturating_sub(rest % HUGE_PAGE_BYTES);
    if length == 0 {
        return;
    }
    // SAFETY: these bytes lie inside `memory`, which is ours alone; the advice doesn't change what they hold.
    let _ = unsafe {
        let place = start.add(before).cast();
        rustix::mm::madvise(place, length, rustix::mm::Advice::LinuxHugepage)
    };
}
