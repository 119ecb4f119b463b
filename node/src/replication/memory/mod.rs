//! What members remember of each other's copies, and how a copy that isn't what it was finds out:
//! a disk that was rolled back, a clone beside its original, a history that the others went on
//! without (docs/decisions/0015).
//!
//! ```text
//! lane opens ─▶ introductions ─▶ judge (my copy, by the peer's memory) ─▶ empty_copy: uncounted
//!                    │  └──────▶ twins (two processes of one node)      ─▶ ends with 5
//! primary ─▶ notices ┴─▶ what was had, incidents ─▶ every member ─▶ memory.a, memory.b
//! ```
//! A node judges its own copy only. It never counts votes, and only ever adds reasons for doubt.

mod consequences;
mod introductions;
mod judge;
mod notices;
mod peer_memory;
mod standstill;
mod twins;

pub use peer_memory::{MemoryParts, PeerMemory};
pub use twins::LinkStatus;
