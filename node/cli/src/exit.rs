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
    /// Verification found damage, or a node's copy must not simply be started again.
    Damaged,
    /// A bug: a panic, named on stderr.
    Bug,
}

impl Exit {
    /// The number that the caller sees.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Rejected => 3,
            Self::Unavailable => 4,
            Self::Damaged => 5,
            Self::Bug => 70,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
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
