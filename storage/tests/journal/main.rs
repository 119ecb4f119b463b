//! The journal against a disk that crashes, loses and rots.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod random;
mod rig;

mod append;
mod crash;
mod damage;
mod faults;
mod golden;
mod parts;
mod race;
mod threads;
