//! Tests of checkpoints under crashes and damage.

pub(crate) mod crash;
pub(crate) mod damage;
pub(crate) mod measure;
pub(crate) mod samples;
