//! Copies that began empty: which kind of copy this node has, whose votes count, and which copies a
//! primary may fill.
//!
//! A copy that may have forgotten a promise never counts. Which votes make a majority is the
//! engine's decision.

mod admittance;
mod copies;
mod status;
mod votes;

pub use copies::{BootstrapError, EmptyCopies};
pub use status::EmptyCopy;
pub use votes::Poll;
