//! The journal on a disk with crashes, lost writes and damage.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

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
