//! The messages. They hold data and encoding, never behaviour.
//!
//! - `request`, `reply`: between clients and sites.
//! - `peer`, `introduction`: between sites.

pub mod introduction;
pub mod peer;
pub mod reply;
pub mod request;
