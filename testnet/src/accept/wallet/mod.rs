//! The rows of "The whole wallet": money in all its ways, over HTTP where that is the point.

pub(super) mod bodies;
pub(super) mod day;
pub(super) mod events;
pub(super) mod exactly_once;
pub(super) mod fuzzed;
pub(super) mod history;
pub(super) mod pages;
pub(super) mod races;
pub(super) mod roles;
pub(super) mod speed;
