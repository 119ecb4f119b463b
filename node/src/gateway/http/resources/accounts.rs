//! `/v1/accounts`: opening, freezing, closing and reading accounts, and their limits. The rules are
//! never here; the ledger has them.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::State,
    http::{Response, StatusCode},
};
use evenkeel_wire::{
    account::{AccountStatus, Limits, OpenAccount, SetLimits, SetStatus},
    command::Command,
    id::AccountId,
    reply::View,
    request::Query,
};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::gateway::http::{
    HttpDoor,
    answer::{
        describe::{self, AccountShape, CommittedAccount, Seen},
        problem::Problem,
    },
    openapi::{CommandProblems, DeadlineMs, ReadProblems, ReadQuery},
    reads::mismatched_answer,
    request::{
        body::RequestWithBody,
        fields::{
            AccountIdText, AccountKindName, AssetName, CommandIdText, Label, amounts::WrittenLimit,
            present,
        },
        head::Head,
        json, query,
    },
};

/// Opens an account. A repeated request replays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewAccount {
    #[serde(default, deserialize_with = "present")]
    #[schema(required = true, nullable = false)]
    pub(crate) id: Option<AccountIdText>,
    kind: AccountKindName,
    asset: AssetName,
    /// For people.
    #[serde(default)]
    label: Label,
    #[serde(default, deserialize_with = "json::object")]
    limits: NewLimits,
}

impl NewAccount {
    pub(crate) fn into_command(self, id: AccountId, misfit: &mut Option<Problem>) -> OpenAccount {
        OpenAccount {
            id,
            kind: self.kind.0,
            asset: self.asset.0,
            label: self.label.0,
            limits: self.limits.read_limits("limits.", misfit),
        }
    }
}

/// The limits that differ from the defaults of the account's kind.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewLimits {
    /// The largest posted balance.
    #[serde(default)]
    max_balance: WrittenLimit,
    /// The largest amount of one transfer, payment, cash-out, fee or hold from the account.
    #[serde(default)]
    per_transfer: WrittenLimit,
    /// The largest sum of all of these in one business day.
    #[serde(default)]
    daily_debit: WrittenLimit,
}

impl NewLimits {
    fn read_limits(&self, place: &str, misfit: &mut Option<Problem>) -> Limits {
        let mut change =
            |limit: WrittenLimit, name| limit.into_change(&format!("{place}{name}"), misfit);
        Limits {
            max_balance: change(self.max_balance, "max_balance"),
            per_transfer: change(self.per_transfer, "per_transfer"),
            daily_debit: change(self.daily_debit, "daily_debit"),
        }
    }
}

/// Changes an account's limits: an absent one is unchanged, `null` clears it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangedLimits {
    #[serde(default, deserialize_with = "present")]
    #[schema(required = true, nullable = false)]
    id: Option<CommandIdText>,
    /// The largest posted balance.
    #[serde(default)]
    max_balance: WrittenLimit,
    /// The largest amount of one transfer, payment, cash-out, fee or hold from the account.
    #[serde(default)]
    per_transfer: WrittenLimit,
    /// The largest sum of all of these in one business day.
    #[serde(default)]
    daily_debit: WrittenLimit,
}

/// A command that needs only its own id.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct JustId {
    #[serde(default, deserialize_with = "present")]
    #[schema(required = true, nullable = false)]
    pub(crate) id: Option<CommandIdText>,
}

/// Opens an account.
#[utoipa::path(
    post, path = "/v1/accounts", tag = "accounts", operation_id = "open_account",
    params(DeadlineMs), request_body = NewAccount,
    responses(
        (status = 201, description = "Committed.", body = CommittedAccount),
        (status = 200, description = "Committed before: the first answer is repeated.", body = CommittedAccount),
        CommandProblems,
    ),
)]
pub(crate) async fn open_account(
    State(door): State<Arc<HttpDoor>>,
    asked: RequestWithBody,
) -> Result<Response<Body>, Problem> {
    let body: NewAccount = json::read(&asked.body)?;
    let id = asked.head.account_id(body.id)?;
    let mut misfit = None;
    let command = Command::OpenAccount(body.into_command(id, &mut misfit));
    change_account(&door, &asked.head, id, &command, misfit).await
}

/// The current state of an account.
#[utoipa::path(
    get, path = "/v1/accounts/{id}", tag = "accounts", operation_id = "get_account",
    params(("id" = AccountIdText, Path, description = "The account's id."), ReadQuery, DeadlineMs),
    responses((status = 200, description = "The current state.", body = Seen<AccountShape>), ReadProblems),
)]
pub(crate) async fn get_account(
    State(door): State<Arc<HttpDoor>>,
    head: Head,
) -> Result<Response<Body>, Problem> {
    head.check_accepts_json()?;
    let id = head.path_account()?;
    let consistency = query::parameters(&head.uri, ["consistency"])?.consistency()?;
    match door.read_view(&head, Query::Account(id), consistency).await? {
        (View::Account(view), as_of) => {
            Ok(describe::json(StatusCode::OK, &Seen::new(AccountShape::from(view), as_of)))
        }
        _ => Err(mismatched_answer()),
    }
}

/// Freezes the account: it can't pay any more, but it can still receive.
#[utoipa::path(
    post, path = "/v1/accounts/{id}/freeze", tag = "accounts", operation_id = "freeze",
    params(("id" = AccountIdText, Path, description = "The account's id."), DeadlineMs),
    request_body = JustId,
    responses(
        (status = 201, description = "Committed.", body = CommittedAccount),
        (status = 200, description = "Committed before: the first answer is repeated.", body = CommittedAccount),
        CommandProblems,
    ),
)]
pub(crate) async fn freeze(
    State(door): State<Arc<HttpDoor>>,
    asked: RequestWithBody,
) -> Result<Response<Body>, Problem> {
    set_status(&door, &asked, AccountStatus::Frozen).await
}

/// Unfreezes the account: it can pay again.
#[utoipa::path(
    post, path = "/v1/accounts/{id}/unfreeze", tag = "accounts", operation_id = "unfreeze",
    params(("id" = AccountIdText, Path, description = "The account's id."), DeadlineMs),
    request_body = JustId,
    responses(
        (status = 201, description = "Committed.", body = CommittedAccount),
        (status = 200, description = "Committed before: the first answer is repeated.", body = CommittedAccount),
        CommandProblems,
    ),
)]
pub(crate) async fn unfreeze(
    State(door): State<Arc<HttpDoor>>,
    asked: RequestWithBody,
) -> Result<Response<Body>, Problem> {
    set_status(&door, &asked, AccountStatus::Open).await
}

/// Closes the account forever. It must have no balance, no hold and no incoming hold.
#[utoipa::path(
    post, path = "/v1/accounts/{id}/close", tag = "accounts", operation_id = "close",
    params(("id" = AccountIdText, Path, description = "The account's id."), DeadlineMs),
    request_body = JustId,
    responses(
        (status = 201, description = "Committed.", body = CommittedAccount),
        (status = 200, description = "Committed before: the first answer is repeated.", body = CommittedAccount),
        CommandProblems,
    ),
)]
pub(crate) async fn close(
    State(door): State<Arc<HttpDoor>>,
    asked: RequestWithBody,
) -> Result<Response<Body>, Problem> {
    set_status(&door, &asked, AccountStatus::Closed).await
}

/// Changes an account's limits.
#[utoipa::path(
    put, path = "/v1/accounts/{id}/limits", tag = "accounts", operation_id = "set_limits",
    params(("id" = AccountIdText, Path, description = "The account's id."), DeadlineMs),
    request_body = ChangedLimits,
    responses(
        (status = 201, description = "Committed.", body = CommittedAccount),
        (status = 200, description = "Committed before: the first answer is repeated.", body = CommittedAccount),
        CommandProblems,
    ),
)]
pub(crate) async fn set_limits(
    State(door): State<Arc<HttpDoor>>,
    asked: RequestWithBody,
) -> Result<Response<Body>, Problem> {
    let body: ChangedLimits = json::read(&asked.body)?;
    let account = asked.head.path_account()?;
    let id = asked.head.command_id(body.id)?;
    let ChangedLimits { max_balance, per_transfer, daily_debit, .. } = body;
    let mut misfit = None;
    let limits = NewLimits { max_balance, per_transfer, daily_debit }.read_limits("", &mut misfit);
    let command = Command::SetLimits(SetLimits { id, account, limits });
    change_account(&door, &asked.head, account, &command, misfit).await
}

async fn set_status(
    door: &HttpDoor,
    asked: &RequestWithBody,
    status: AccountStatus,
) -> Result<Response<Body>, Problem> {
    let body: JustId = json::read(&asked.body)?;
    let account = asked.head.path_account()?;
    let id = asked.head.command_id(body.id)?;
    let command = Command::SetStatus(SetStatus { id, account, status });
    change_account(door, &asked.head, account, &command, None).await
}

/// Sends a command about an account, and answers with the account's state after it.
async fn change_account(
    door: &HttpDoor,
    head: &Head,
    account: AccountId,
    command: &Command,
    misfit: Option<Problem>,
) -> Result<Response<Body>, Problem> {
    let decision = door.submit(head, command, misfit).await?;
    let account = door.account_of(account, &decision, head).await?;
    Ok(decision.respond_with(&CommittedAccount::new(&decision, account)))
}
