//! What checkpoints must withstand.

pub(crate) mod crash;
pub(crate) mod damage;
pub(crate) mod measure;
pub(crate) mod samples;
