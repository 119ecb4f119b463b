//! How the program ends: a number for scripts, a line for people.

use std::{fmt, process::ExitCode};

/// The exit codes, each with its meaning; they never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Done,
    /// A start refused for a port, lock, foreign cluster, certificate or socket path, and whatever has no own code.
    Failed,
    /// Wrong usage or configuration.
    Usage,
    /// The ledger said no.
    Rejected,
    /// A node that is down, no primary, or an unknown outcome: safe to ask again with the same id.
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

/// A verb that didn't do what it was asked: the code, and the line on stderr. An empty text: everything is said already.
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
