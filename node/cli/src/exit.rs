//! How the program ends: an exit code for scripts, a line for people.

use std::{fmt, process::ExitCode};

/// The exit codes; their meanings never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Done,
    /// A refused start (port, lock, foreign cluster, certificate, socket path), and any failure
    /// without its own code.
    Failed,
    /// Wrong usage or configuration.
    Usage,
    /// The ledger rejected the command.
    Rejected,
    /// A node is down, there's no primary, or the outcome is unknown: safe to retry with the same
    /// id.
    Unavailable,
    /// Verification found damage.
    Damaged,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Rejected => 3,
            Exit::Unavailable => 4,
            Exit::Damaged => 5,
        })
    }
}

/// A failed verb: the exit code and the line for stderr. With an empty text nothing is printed: the
/// failure is already reported.
#[derive(Debug)]
pub(crate) struct Failure {
    pub exit: Exit,
    pub text: String,
}

impl Failure {
    pub(crate) fn new(exit: Exit, text: impl fmt::Display) -> Self {
        Self { exit, text: text.to_string() }
    }

    pub(crate) fn failed(text: impl fmt::Display) -> Self {
        Self::new(Exit::Failed, text)
    }

    pub(crate) fn usage(text: impl fmt::Display) -> Self {
        Self::new(Exit::Usage, text)
    }
}
