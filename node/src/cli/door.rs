//! How `wallet` and `bench` reach the cluster: client.toml, and what a call that got no answer means for the exit code.

use std::{future::Future, path::PathBuf};

use evenkeel_wire::{
    client::{ClientConfig, Error},
    reply::{Refusal, RefusalCode},
};

use super::{Exit, Failure};

/// Where a local testnet puts it.
const DEFAULT_FILE: &str = "testnet/run/client.toml";

#[derive(Debug, clap::Args)]
pub(super) struct ClientFile {
    /// client.toml of the cluster [default: testnet/run/client.toml where it exists]
    #[arg(long, value_name = "FILE", global = true)]
    client: Option<PathBuf>,
}

impl ClientFile {
    pub(super) fn load(&self) -> Result<ClientConfig, Failure> {
        let path = match &self.client {
            Some(path) => path.clone(),
            None => PathBuf::from(DEFAULT_FILE),
        };
        if self.client.is_none() && !path.exists() {
            return Err(Failure::usage(format!(
                "which cluster? say --client FILE (there's no {DEFAULT_FILE} here)"
            )));
        }
        ClientConfig::load(&path).map_err(Failure::usage)
    }
}

/// Runs one task to its end on this thread.
pub(super) fn block_on<T>(task: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("no runtime: {error}")))?
        .block_on(task)
}

/// A call without an answer: nothing done and unknown are both safe to ask again with the same id.
pub(super) fn no_answer(error: &Error) -> Failure {
    match error {
        Error::Refused(refusal) => Failure::new(exit_for(refusal), refusal),
        Error::Unavailable(_) => Failure::new(Exit::Unavailable, error),
        Error::Unknown(_) => Failure::new(Exit::Unavailable, error),
    }
}

fn exit_for(refusal: &Refusal) -> Exit {
    match refusal.code {
        RefusalCode::Malformed | RefusalCode::IdNotUuidV7 | RefusalCode::TooLarge => Exit::Usage,
        code if code.is_retryable() => Exit::Unavailable,
        _ => Exit::Failed,
    }
}
