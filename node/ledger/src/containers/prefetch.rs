//! A hint to the processor about memory. It changes how fast the ledger is, never what it does.
#![expect(unsafe_code, reason = "the hint has no safe form; it neither reads nor writes anything")]

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
