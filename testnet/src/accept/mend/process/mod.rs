//! A failure ends the process, never half of it, and never silently: rows mend.17 to mend.24.

mod child;
pub(super) mod ends;
pub(super) mod environment;
pub(super) mod lines;
pub(super) mod messages;
pub(super) mod panics;
pub(super) mod pipe;
pub(super) mod waits;
