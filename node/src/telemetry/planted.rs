//! Panics planted on purpose, in builds with `--cfg evenkeel_planted`, to show that a panic in each
//! place ends the process. In every other build there are none.

/// Panics if `EVENKEEL_PLANT` is `panic-` and this place.
#[track_caller]
#[inline]
pub(crate) fn panic_if_planted(place: &str) {
    if cfg!(evenkeel_planted) {
        let planted = std::env::var("EVENKEEL_PLANT");
        let here = planted.is_ok_and(|bug| bug.strip_prefix("panic-") == Some(place));
        assert!(!here, "planted in {place}");
    }
}
