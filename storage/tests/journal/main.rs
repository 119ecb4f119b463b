//! The journal against a disk that crashes, loses and rots.

mod random;
mod rig;

mod append;
mod crash;
mod damage;
mod faults;
