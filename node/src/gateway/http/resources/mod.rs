//! The routes, one file per resource, each with the documentation that `/openapi.json` is built
//! from. They never decide about money.

pub(crate) mod accounts;
pub(crate) mod batches;
pub(crate) mod days;
pub(crate) mod events;
pub(crate) mod health;
pub(crate) mod holds;
pub(crate) mod status;
pub(crate) mod totals;
pub(crate) mod transfers;
