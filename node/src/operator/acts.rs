//! An operator's changes to the ledger: keys, and the end of a business day. Each takes the road
//! like any request, sent by the node itself, so that it works at every site that reaches another
//! one.
//!
//! It never moves money, and a key's text never leaves the answer that creates it.

use std::{sync::Arc, time::Duration};

use evenkeel_storage::Link;
use evenkeel_wire::{
    codec,
    command::Command,
    day::{BusinessDate, CloseDay},
    id::{AccountId, KeyId},
    key::{CreateKey, RevokeKey, Role},
    limits::KEYS_MAX,
    outcome::{Outcome, Rejection, Stamp},
    reply::{KeyView, Refusal, RefusalCode, View},
    request::Query,
};

use super::operations::AdminError;
use super::status::{ClosedDay, CreatedKey, KnownKey};
use crate::{
    admission::{self, Keyring},
    road::{Caller, Reply, Request, Road},
    state::AppliedState,
};

/// The longest time that an act may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Sends an operator's commands and queries to the ledger.
pub struct LedgerActs {
    pub road: Arc<Road>,
    pub state: Arc<AppliedState>,
    pub keyring: Arc<Keyring>,
}

impl LedgerActs {
    /// Creates a key and returns its text, once.
    ///
    /// # Errors
    /// When the ledger rejects it, or can't be reached.
    pub async fn create_key(
        &self,
        role: Role,
        account: Option<AccountId>,
    ) -> Result<CreatedKey, AdminError> {
        let text = admission::generate_key().map_err(|error| {
            AdminError::Failed(format!("the machine has no randomness: {error}"))
        })?;
        let hash = admission::key_hash(&text);
        let decided =
            self.submit_command(Command::CreateKey(CreateKey { hash, role, account })).await?;
        let number = decided.committed_amount()?;
        let id = u32::try_from(number)
            .map_err(|_| AdminError::Failed(format!("{number} isn't a key's number")))?;
        let account = account.map(|account| account.to_string());
        Ok(CreatedKey { id, key: text, role: role.name().to_owned(), account })
    }

    /// All keys.
    ///
    /// # Errors
    /// When the ledger can't be reached.
    pub async fn keys(&self) -> Result<Vec<KnownKey>, AdminError> {
        match self.run_query(Query::Keys).await? {
            View::Keys(keys) => Ok(keys.iter().map(describe_key).collect()),
            _ => Err(AdminError::Failed("a query for keys got another answer".to_owned())),
        }
    }

    /// Revokes a key, and waits until no site that hears from the primary accepts it.
    ///
    /// # Errors
    /// When there's no such key, or the ledger can't be reached.
    pub async fn revoke_key(&self, key: KeyId) -> Result<(), AdminError> {
        self.submit_command(Command::RevokeKey(RevokeKey { key })).await?.committed_amount()?;
        // By then every site that hears from the primary has applied it; the others ask before they
        // answer.
        tokio::time::sleep(self.keyring.trusted_for()).await;
        Ok(())
    }

    /// Ends the business day now.
    ///
    /// # Errors
    /// When the ledger can't be reached, or the calendar is at its end.
    pub async fn close_day(&self) -> Result<ClosedDay, AdminError> {
        let closed = self.current_day().await?;
        let next = closed.next();
        if next <= closed {
            return Err(AdminError::Conflict(format!("the calendar ends with {closed}")));
        }
        let ActOutcome { outcome, stamp } =
            self.submit_command(Command::CloseDay(CloseDay { closed, next })).await?;
        match outcome.rejection {
            None => Ok(describe_closed_day(closed, next, &stamp)),
            // The day is over if an earlier attempt with a lost answer, midnight or another
            // operator ended it.
            Some(Rejection::DayNotOpen) => self.day_already_closed(closed, &stamp).await,
            Some(other) => Err(rejection_error(other)),
        }
    }

    /// The business date at the primary, which may be ahead of this site's.
    async fn current_day(&self) -> Result<BusinessDate, AdminError> {
        let unknown = || AdminError::Unavailable("this site has no ledger yet".to_owned());
        match self.run_query(Query::Position).await? {
            View::Position(position) => self.wait_applied(position).await?,
            _ => {
                return Err(AdminError::Failed(
                    "a query for the position got another answer".to_owned(),
                ));
            }
        }
        self.state.with_ledger(|ledger| ledger.business_date()).ok_or_else(unknown)
    }

    async fn day_already_closed(
        &self,
        closed: BusinessDate,
        rejected: &Stamp,
    ) -> Result<ClosedDay, AdminError> {
        self.wait_applied(rejected.position).await?;
        let next = self.state.with_ledger(|ledger| ledger.business_date());
        match (self.state.answer_query(&Query::Day(closed)), next) {
            (Ok(View::Day(day)), Some(next)) => Ok(ClosedDay {
                date: closed.to_string(),
                next: next.to_string(),
                position: day.last_position,
                link: Link(day.link).to_string(),
            }),
            _ => Err(AdminError::Conflict(format!("{closed} isn't the business day any more"))),
        }
    }

    /// Waits until this site has applied `position`.
    async fn wait_applied(&self, position: u64) -> Result<(), AdminError> {
        if self.state.wait_applied(position, PATIENCE).await {
            return Ok(());
        }
        Err(AdminError::Unavailable("this site lags too far behind the primary".to_owned()))
    }

    async fn submit_command(&self, command: Command) -> Result<ActOutcome, AdminError> {
        let commands = codec::encode(&command).into();
        let request = Request::Submit { count: 1, atomic: false, commands };
        match self.road.send_and_wait(Caller::NODE, request, PATIENCE).await {
            Reply::Decided(decided, range) => {
                let answer = decided.answers[range].first().expect("one answer for each command");
                let stamp = answer.first.unwrap_or(decided.stamp);
                Ok(ActOutcome { outcome: answer.outcome, stamp })
            }
            Reply::Refused(refusal) => Err(refusal_error(&refusal)),
            Reply::View(..) => {
                Err(AdminError::Failed("a command got a view as its answer".to_owned()))
            }
        }
    }

    async fn run_query(&self, query: Query) -> Result<View, AdminError> {
        match self.road.send_and_wait(Caller::NODE, Request::Read(query), PATIENCE).await {
            Reply::View(view, _) => Ok(*view),
            Reply::Refused(refusal) => Err(refusal_error(&refusal)),
            Reply::Decided(..) => {
                Err(AdminError::Failed("a query got an outcome as its answer".to_owned()))
            }
        }
    }
}

/// The ledger's answer to an act, and where it was decided.
struct ActOutcome {
    outcome: Outcome,
    stamp: Stamp,
}

impl ActOutcome {
    /// The amount of the outcome, if it was committed.
    fn committed_amount(&self) -> Result<u64, AdminError> {
        self.outcome
            .rejection
            .map_or(Ok(self.outcome.amount), |rejection| Err(rejection_error(rejection)))
    }
}

fn refusal_error(refusal: &Refusal) -> AdminError {
    let detail = refusal.detail.as_str().to_owned();
    match refusal.code {
        RefusalCode::OutcomeUnknown => {
            AdminError::Unknown("it may yet take effect: check before trying again".to_owned())
        }
        code if code.is_retryable() => AdminError::Unavailable(detail),
        _ => AdminError::Failed(refusal.to_string()),
    }
}

fn rejection_error(rejection: Rejection) -> AdminError {
    let detail = match rejection {
        Rejection::KeyAccountInvalid => {
            "a merchant's key names a merchant's account, and no other key names one".to_owned()
        }
        Rejection::TooManyKeys => {
            format!("there are {KEYS_MAX} keys, revoked ones included, which is the limit")
        }
        Rejection::KeyNotFound => "there's no key with this number".to_owned(),
        other => format!("the ledger rejected it: {other}"),
    };
    AdminError::Rejected { rejection, detail }
}

fn describe_key(key: &KeyView) -> KnownKey {
    KnownKey {
        id: key.key.0,
        role: key.role.name().to_owned(),
        account: key.account.map(|account| account.to_string()),
        revoked: key.revoked,
    }
}

fn describe_closed_day(closed: BusinessDate, next: BusinessDate, marker: &Stamp) -> ClosedDay {
    ClosedDay {
        date: closed.to_string(),
        next: next.to_string(),
        position: marker.position,
        link: Link(marker.link).to_string(),
    }
}
