//! Advice to the kernel about large memory. The ledger makes no system calls: its owner passes the
//! call in.

/// Asks the kernel to back memory with huge pages, for fewer page faults and TLB misses. It changes
/// how fast the ledger is, never what it does.
#[derive(Clone, Copy, Debug)]
pub struct MemoryAdvice(fn(*mut u8, usize));

impl MemoryAdvice {
    /// No advice is given.
    pub const NONE: Self = Self(|_, _| {});

    /// `advise` gets the start of a range and its length in bytes, both multiples of 2 MiB. The
    /// range is memory that the ledger owns, possibly uninitialized: `advise` must neither read nor
    /// write it. It ignores failures.
    #[must_use]
    pub const fn new(advise: fn(*mut u8, usize)) -> Self {
        Self(advise)
    }

    /// Gives the advice for the part of `memory` that consists of whole huge pages.
    pub(crate) fn prefer_huge_pages<T>(self, memory: &mut [T]) {
        let start = memory.as_mut_ptr().cast::<u8>();
        let before = start.align_offset(HUGE_PAGE_BYTES);
        let rest = size_of_val(memory).saturating_sub(before);
        let bytes = rest.saturating_sub(rest % HUGE_PAGE_BYTES);
        if bytes > 0 {
            (self.0)(start.wrapping_add(before), bytes);
        }
    }
}

const HUGE_PAGE_BYTES: usize = 2 << 20;
