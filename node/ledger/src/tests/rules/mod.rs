//! The rules of each command.

mod days;
mod holds;
mod keys;
mod kinds;
mod limits;
mod openings;
mod precedence;
mod refunds;
mod reversals;
