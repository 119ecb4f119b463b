//! What every request goes through before anything is done. One spelling is accepted for everything, and no key is kept.

pub(crate) mod accept;
pub(crate) mod body;
pub(crate) mod fields;
pub(crate) mod head;
pub(crate) mod json;
pub(crate) mod query;
