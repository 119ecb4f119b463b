//! A hint to the processor about memory. It changes how fast the ledger is, never what it does.
#![expect(unsafe_code, reason = "the hint has no safe form; it neither reads nor writes anything")]

/// Tells the processor to load the cache line of `value` while it executes other work.
#[inline]
pub(crate) fn prefetch<T>(value: &T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch has no observable effect for any address, and this one is valid.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(value).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = value;
}
