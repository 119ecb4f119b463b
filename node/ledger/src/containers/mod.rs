//! Containers for the tables. They depend on no command and no rule.

pub(crate) mod ids;
pub(crate) mod memory;
pub(crate) mod mix;
pub(crate) mod prefetch;
pub(crate) mod rows;
pub(crate) mod sorted;
