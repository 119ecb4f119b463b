//! Applying one entry: its commands are read group by group, each is judged and carried out in order, and the sums are checked.

pub(crate) mod apply;
pub(crate) mod atomic;
pub(crate) mod execute;
pub(crate) mod reader;
pub(crate) mod undo;
