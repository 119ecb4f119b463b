//! Applying one entry: its commands are decoded group by group, each is judged and applied in
//! order, and the sums are checked.

pub(crate) mod apply;
mod atomic;
mod execute;
pub(crate) mod lookups;
mod reader;
