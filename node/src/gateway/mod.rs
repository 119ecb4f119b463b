//! The doors: bytes in, bytes out. They translate; they never decide.

pub mod admin;
