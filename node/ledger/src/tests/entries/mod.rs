//! Entries: their bodies, atomic groups, known ids, and equal results on every node.

mod bodies;
mod determinism;
mod groups;
mod known_ids;
