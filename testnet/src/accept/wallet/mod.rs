//! The rows `wallet.*`: commands of every kind, roles, events and history, mostly over HTTP. They
//! never simulate: every row runs real processes.

pub(crate) mod bodies;
pub(crate) mod day;
pub(crate) mod events;
pub(crate) mod exactly_once;
pub(crate) mod fuzzed;
pub(crate) mod history;
pub(crate) mod pages;
pub(crate) mod races;
pub(crate) mod roles;
pub(crate) mod speed;
