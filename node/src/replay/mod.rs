//! Replay of the journal: the ledger at a start, damaged indexes, seals, verification. It never
//! changes a record.

pub mod comparison;
pub mod rebuild;
pub mod recovery;
pub mod sealing;
pub mod verify;
pub mod verify_report;
