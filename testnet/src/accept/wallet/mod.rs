//! The rows of "The whole wallet": money in all its ways, over HTTP where that is the point.

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
