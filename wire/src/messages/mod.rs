//! Who says what to whom: requests and replies between clients and sites, and what sites say to each other.

pub mod peer;
pub mod reply;
pub mod request;
