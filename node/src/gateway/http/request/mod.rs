//! Parsing of requests, complete before a command is sent. Every value has exactly one accepted
//! spelling, and a key's text is never kept.

pub(crate) mod accept;
pub(crate) mod body;
pub(crate) mod fields;
pub(crate) mod head;
pub(crate) mod json;
pub(crate) mod query;
