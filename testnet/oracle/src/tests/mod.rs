//! The oracle's own rules, and that each of its checks can fail.

mod acknowledged;
mod balances;
mod in_order;
mod journal;
mod rules;
mod world;
