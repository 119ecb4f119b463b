//! The doors: bytes in, bytes out. They decide nothing: a door parses, asks admission, and puts the request on the road.

pub mod admin;
pub mod client;
pub mod forward;
pub mod http;
pub mod outbox;
