//! `/v1/holds`: money reserved, then captured once or released. The rules are never here; the
//! ledger has them.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::State,
    http::{Response, StatusCode},
};
use evenkeel_wire::{
    command::Command,
    hold::{Capture, Hold, Void},
    id::CommandId,
    reply::View,
    request::Query,
};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{accounts::JustId, transfers::respond_with_movement};
use crate::gateway::http::{
    HttpDoor,
    answer::{
        describe::{self, CommittedHold, CommittedTransfer, HoldShape, Seen},
        problem::Problem,
    },
    openapi::{CommandProblems, DeadlineMs, ReadProblems, ReadQuery},
    reads::mismatched_answer,
    request::{
        body::RequestWithBody,
        fields::{
            AccountIdText, AssetName, CommandIdText, HoldMs, Memo, amounts::WrittenAmount, present,
        },
        head::Head,
        json, query,
    },
};

/// Reserves an amount of a wallet for a merchant.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewHold {
    #[serde(default, deserialize_with = "present")]
    #[schema(required = true, nullable = false)]
    pub(crate) id: Option<CommandIdText>,
    /// The wallet that pays.
    debit: AccountIdText,
    /// The merchant that may be paid.
    credit: AccountIdText,
    amount: WrittenAmount,
    asset: AssetName,
    expires_in_ms: HoldMs,
    /// For people.
    #[serde(default)]
    memo: Memo,
}

impl NewHold {
    pub(crate) fn into_command(self, id: CommandId, misfit: &mut Option<Problem>) -> Hold {
        Hold {
            id,
            debit: self.debit.0,
            credit: self.credit.0,
            amount: self.amount.into_amount("amount", misfit),
            asset: self.asset.0,
            expires_in_ms: self.expires_in_ms.0,
            memo: self.memo.0,
        }
    }
}

/// Captures a hold, once: the rest is released.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewCapture {
    #[serde(default, deserialize_with = "present")]
    #[schema(required = true, nullable = false)]
    id: Option<CommandIdText>,
    /// At most the held amount; absent: all of it.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    amount: Option<WrittenAmount>,
}

/// Reserves money of a wallet for a merchant.
#[utoipa::path(
    post, path = "/v1/holds", tag = "holds", operation_id = "hold",
    params(DeadlineMs), request_body = NewHold,
    responses(
        (status = 201, description = "Committed.", body = CommittedHold),
        (status = 200, description = "Committed before: the first answer is repeated.", body = CommittedHold),
        CommandProblems,
    ),
)]
pub(crate) async fn hold(
    State(door): State<Arc<HttpDoor>>,
    asked: RequestWithBody,
) -> Result<Response<Body>, Problem> {
    let body: NewHold = json::read(&asked.body)?;
    let id = asked.head.command_id(body.id)?;
    let mut misfit = None;
    let command = Command::Hold(body.into_command(id, &mut misfit));
    change_hold(&door, &asked.head, id, &command, misfit).await
}

/// Captures a hold. Makes a payment whose id is the capture's, refundable.
#[utoipa::path(
    post, path = "/v1/holds/{id}/capture", tag = "holds", operation_id = "capture",
    params(("id" = CommandIdText, Path, description = "The hold's id."), DeadlineMs),
    request_body = NewCapture,
    responses(
        (status = 201, description = "Committed.", body = CommittedTransfer),
        (status = 200, description = "Committed before: the first answer is repeated.", body = CommittedTransfer),
        CommandProblems,
    ),
)]
pub(crate) async fn capture(
    State(door): State<Arc<HttpDoor>>,
    asked: RequestWithBody,
) -> Result<Response<Body>, Problem> {
    let body: NewCapture = json::read(&asked.body)?;
    let hold = asked.head.path_command()?;
    let id = asked.head.command_id(body.id)?;
    let mut misfit = None;
    let amount = body.amount.map(|amount| amount.into_amount("amount", &mut misfit));
    let command = Command::Capture(Capture { id, hold, amount });
    let decision = door.submit(&asked.head, &command, misfit).await?;
    respond_with_movement(&door, &asked.head, id, &decision).await
}

/// Releases a hold.
#[utoipa::path(
    post, path = "/v1/holds/{id}/void", tag = "holds", operation_id = "void",
    params(("id" = CommandIdText, Path, description = "The hold's id."), DeadlineMs),
    request_body = JustId,
    responses(
        (status = 201, description = "Committed.", body = CommittedHold),
        (status = 200, description = "Committed before: the first answer is repeated.", body = CommittedHold),
        CommandProblems,
    ),
)]
pub(crate) async fn void(
    State(door): State<Arc<HttpDoor>>,
    asked: RequestWithBody,
) -> Result<Response<Body>, Problem> {
    let body: JustId = json::read(&asked.body)?;
    let hold = asked.head.path_command()?;
    let id = asked.head.command_id(body.id)?;
    change_hold(&door, &asked.head, hold, &Command::Void(Void { id, hold }), None).await
}

/// The current state of a hold.
#[utoipa::path(
    get, path = "/v1/holds/{id}", tag = "holds", operation_id = "get_hold",
    params(("id" = CommandIdText, Path, description = "The hold's id."), ReadQuery, DeadlineMs),
    responses((status = 200, description = "The current state.", body = Seen<HoldShape>), ReadProblems),
)]
pub(crate) async fn get_hold(
    State(door): State<Arc<HttpDoor>>,
    head: Head,
) -> Result<Response<Body>, Problem> {
    head.check_accepts_json()?;
    let id = head.path_command()?;
    let consistency = query::parameters(&head.uri, ["consistency"])?.consistency()?;
    match door.read_view(&head, Query::Hold(id), consistency).await? {
        (View::Hold(view), as_of) => {
            Ok(describe::json(StatusCode::OK, &Seen::new(HoldShape::from(*view), as_of)))
        }
        _ => Err(mismatched_answer()),
    }
}

/// Sends a command about a hold, and answers with the hold's state after it.
async fn change_hold(
    door: &HttpDoor,
    head: &Head,
    hold: CommandId,
    command: &Command,
    misfit: Option<Problem>,
) -> Result<Response<Body>, Problem> {
    let decision = door.submit(head, command, misfit).await?;
    let hold = door.hold_of(hold, &decision, head).await?;
    Ok(decision.respond_with(&CommittedHold::new(&decision, hold)))
}
