//! The doors: bytes in, bytes out. A door parses, runs admission and routes the request; it never
//! decides one and never touches a disk.

pub mod admin;
pub mod client;
pub mod forward;
pub mod http;
pub mod outbox;
