//! The journal against a disk that crashes, loses and rots.

mod rig;

mod append;
