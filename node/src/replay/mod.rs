//! From the journal to what follows from it: the ledger at a start, damaged indexes, seals, verification.

pub mod rebuild;
pub mod recovery;
pub mod sealing;
pub mod verify;
pub mod verify_report;
