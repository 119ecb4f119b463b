//! The way of `wallet` and `bench` to the cluster: client.toml, one of the two doors, and the exit
//! code of a call without an answer.
//!
//! Both doors take the vocabulary's commands and answer in the same [`shapes`], so no verb depends
//! on the door.

pub(crate) mod http;
mod quic;
pub(crate) mod shapes;

use std::{future::Future, path::PathBuf};

use evenkeel_wire::{
    client::{Client, ClientConfig, ClientError, ClientOptions, ConfigError},
    command::Command,
    id::AccountId,
    outcome::Rejection,
    reply::{Refusal, RefusalCode},
};

use crate::{Exit, Failure, output};
use http::HttpDoor;
use shapes::{Account, CommandResult, HistoryPart, Totals};

/// The client.toml of a local testnet.
const DEFAULT_FILE: &str = "testnet/run/client.toml";

#[derive(Debug, clap::Args)]
pub(crate) struct ClientFile {
    /// client.toml of the cluster [default: testnet/run/client.toml where it exists]
    #[arg(long, value_name = "FILE", global = true)]
    client: Option<PathBuf>,
    /// Over HTTP instead of QUIC
    #[arg(long, global = true)]
    pub(crate) http: bool,
}

impl ClientFile {
    pub(crate) fn load(&self) -> Result<ClientConfig, Failure> {
        let path = match &self.client {
            Some(path) => path.clone(),
            None => PathBuf::from(DEFAULT_FILE),
        };
        if self.client.is_none() && !path.exists() {
            return Err(Failure::usage(format!(
                "which cluster? say --client FILE (there's no {DEFAULT_FILE} here)"
            )));
        }
        let config = ClientConfig::load(&path).map_err(|error| match &error {
            ConfigError::Unresolved { .. } => Failure::new(Exit::Unavailable, error),
            _ => Failure::usage(error),
        })?;
        for why in &config.left_out {
            output::print_note(&format!("going on without {why}"));
        }
        Ok(config)
    }
}

/// A door of the cluster, with retries.
pub(crate) enum Door {
    Quic(Client),
    Http(Box<HttpDoor>),
}

/// The source of a read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ReadSource<'a> {
    /// The primary's current state; asked through this site if one is named.
    Current(Option<&'a str>),
    /// The asked site's own state, of any age.
    Local(Option<&'a str>),
}

impl Door {
    /// A door of this cluster: HTTP or QUIC. Connects when it's first used.
    pub(crate) fn new(
        config: &ClientConfig,
        options: ClientOptions,
        http: bool,
    ) -> Result<Self, Failure> {
        if http {
            let door = HttpDoor::new(config, &options).map_err(Failure::usage)?;
            return Ok(Self::Http(Box::new(door)));
        }
        Ok(Self::Quic(Client::connect(config.clone(), options)))
    }

    /// Submits one command. With `describe`, a second request describes the result if one is
    /// needed.
    pub(crate) async fn submit(
        &self,
        command: &Command,
        describe: bool,
    ) -> Result<CommandResult, ClientError> {
        match self {
            Self::Quic(client) => quic::submit(client, command, describe).await,
            Self::Http(client) => client.submit(command).await,
        }
    }

    /// Submits many commands, each decided for itself; returns their rejections, in order.
    pub(crate) async fn submit_all(
        &self,
        commands: &[Command],
    ) -> Result<Vec<Option<Rejection>>, ClientError> {
        match self {
            Self::Quic(client) => {
                let answered = client.submit(commands).await?;
                Ok(answered.iter().map(|answered| answered.outcome.rejection).collect())
            }
            Self::Http(client) => client.submit_all(commands).await,
        }
    }

    /// An account's balance and state.
    pub(crate) async fn account(
        &self,
        id: AccountId,
        look: ReadSource<'_>,
    ) -> Result<Account, ClientError> {
        match self {
            Self::Quic(client) => quic::account(client, id, look).await,
            Self::Http(client) => client.account(id, look).await,
        }
    }

    /// A part of an account's history, newest first; without `cursor`, the first part.
    pub(crate) async fn history(
        &self,
        account: AccountId,
        limit: u32,
        cursor: Option<&str>,
    ) -> Result<HistoryPart, ClientError> {
        match self {
            Self::Quic(client) => quic::history(client, account, limit, cursor).await,
            Self::Http(client) => client.history(account, limit, cursor).await,
        }
    }

    /// The sums of all accounts.
    pub(crate) async fn totals(&self) -> Result<Totals, ClientError> {
        match self {
            Self::Quic(client) => quic::totals(client).await,
            Self::Http(client) => client.totals().await,
        }
    }

    /// The site that gave the last answer.
    pub(crate) fn last_site(&self) -> Option<String> {
        match self {
            Self::Quic(client) => client.current_site(),
            Self::Http(client) => client.last_site(),
        }
    }
}

/// Runs one task to its end on this thread.
pub(crate) fn block_on<T>(task: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("no runtime: {error}")))?
        .block_on(task)
}

/// The failure of a call without an answer. Unavailable and unknown have the same exit code: both
/// are safe to ask again with the same id.
pub(crate) fn no_answer(error: &ClientError) -> Failure {
    match error {
        ClientError::Refused(refusal) => Failure::new(exit_for(refusal), refusal),
        ClientError::Unavailable(_) => Failure::new(Exit::Unavailable, error),
        ClientError::Unknown(_) => Failure::new(Exit::Unavailable, error),
    }
}

fn exit_for(refusal: &Refusal) -> Exit {
    match refusal.code {
        RefusalCode::Malformed | RefusalCode::IdNotUuidV7 | RefusalCode::TooLarge => Exit::Usage,
        code if code.is_retryable() => Exit::Unavailable,
        _ => Exit::Failed,
    }
}
