//! The messages. They hold data and encoding, never behaviour.
//!
//! - `request`, `reply`: between clients and sites.
//! - `peer`: between sites.

pub mod peer;
pub mod reply;
pub mod request;
