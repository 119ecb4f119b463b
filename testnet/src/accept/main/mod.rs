//! The rows `main.*`: crashes, cuts, damage, full disks, wrong input, speed. They never simulate:
//! every row runs real processes.

pub(crate) mod crash;
pub(crate) mod cuts;
pub(crate) mod damage;
pub(crate) mod disk;
pub(crate) mod durability;
pub(crate) mod footprint;
pub(crate) mod handover;
pub(crate) mod index;
pub(crate) mod input;
pub(crate) mod minority;
pub(crate) mod pause;
pub(crate) mod planted;
pub(crate) mod speed;
pub(crate) mod traced;
