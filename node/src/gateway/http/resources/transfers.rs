//! `/v1/transfers`: movements of money, refunds, reversals. The rules are never here; the ledger
//! has them.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::State,
    http::{Response, StatusCode},
};
use evenkeel_wire::{
    command::Command,
    id::{AccountId, CommandId},
    refund::Refund,
    reply::View,
    request::Query,
    reversal::Reversal,
    transfer::Transfer,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::gateway::http::{
    HttpDoor,
    answer::{
        describe::{self, CommittedTransfer, Decision, Seen, TransferShape},
        problem::Problem,
    },
    openapi::{CommandProblems, DeadlineMs, PageQuery, ReadProblems, ReadQuery},
    reads::mismatched_answer,
    request::{
        body::RequestWithBody,
        fields::{
            AccountIdText, AssetName, CommandIdText, Memo, Reason, Reference, TransferKindName,
            amounts::WrittenAmount, present,
        },
        head::Head,
        json, query,
    },
};
use crate::limits::HTTP_ITEM_BYTES;

/// Moves an amount from `debit` to `credit`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewTransfer {
    #[serde(default, deserialize_with = "present")]
    #[schema(required = true, nullable = false)]
    pub(crate) id: Option<CommandIdText>,
    kind: TransferKindName,
    /// The account that pays.
    debit: AccountIdText,
    /// The account that receives.
    credit: AccountIdText,
    amount: WrittenAmount,
    asset: AssetName,
    /// The client's own reference.
    #[serde(default)]
    reference: Reference,
    /// For people.
    #[serde(default)]
    memo: Memo,
}

impl NewTransfer {
    pub(crate) fn into_command(self, id: CommandId, misfit: &mut Option<Problem>) -> Transfer {
        Transfer {
            id,
            debit: self.debit.0,
            credit: self.credit.0,
            amount: self.amount.into_amount("amount", misfit),
            asset: self.asset.0,
            kind: self.kind.0,
            reference: self.reference.0,
            memo: self.memo.0,
        }
    }
}

/// Refunds a payment, in part or all that is left of it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewRefund {
    #[serde(default, deserialize_with = "present")]
    #[schema(required = true, nullable = false)]
    id: Option<CommandIdText>,
    /// Absent: all that is left.
    #[serde(default, deserialize_with = "present")]
    #[schema(nullable = false)]
    amount: Option<WrittenAmount>,
    /// For people.
    #[serde(default)]
    memo: Memo,
}

/// Reverses a wrong top-up, cash-out, fee or grant.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewReversal {
    #[serde(default, deserialize_with = "present")]
    #[schema(required = true, nullable = false)]
    id: Option<CommandIdText>,
    reason: Reason,
}

/// Moves money.
#[utoipa::path(
    post, path = "/v1/transfers", tag = "transfers", operation_id = "transfer",
    params(DeadlineMs), request_body = NewTransfer,
    responses(
        (status = 201, description = "Committed.", body = CommittedTransfer),
        (status = 200, description = "Committed before: the first answer is repeated.", body = CommittedTransfer),
        CommandProblems,
    ),
)]
pub(crate) async fn transfer(
    State(door): State<Arc<HttpDoor>>,
    asked: RequestWithBody,
) -> Result<Response<Body>, Problem> {
    let body: NewTransfer = json::read(&asked.body)?;
    let id = asked.head.command_id(body.id)?;
    let mut misfit = None;
    let transfer = body.into_command(id, &mut misfit);
    let decision = door.submit(&asked.head, &Command::Transfer(transfer.clone()), misfit).await?;
    let shape = TransferShape::from_command(&transfer, &decision);
    Ok(decision.respond_with(&CommittedTransfer::new(&decision, shape)))
}

/// Refunds a payment: all refunds of it together never exceed it.
#[utoipa::path(
    post, path = "/v1/transfers/{id}/refund", tag = "transfers", operation_id = "refund",
    params(("id" = CommandIdText, Path, description = "The payment's id."), DeadlineMs),
    request_body = NewRefund,
    responses(
        (status = 201, description = "Committed.", body = CommittedTransfer),
        (status = 200, description = "Committed before: the first answer is repeated.", body = CommittedTransfer),
        CommandProblems,
    ),
)]
pub(crate) async fn refund(
    State(door): State<Arc<HttpDoor>>,
    asked: RequestWithBody,
) -> Result<Response<Body>, Problem> {
    let body: NewRefund = json::read(&asked.body)?;
    let payment = asked.head.path_command()?;
    let id = asked.head.command_id(body.id)?;
    let mut misfit = None;
    let amount = body.amount.map(|amount| amount.into_amount("amount", &mut misfit));
    let refund = Refund { id, payment, amount, memo: body.memo.0 };
    let decision = door.submit(&asked.head, &Command::Refund(refund), misfit).await?;
    respond_with_movement(&door, &asked.head, id, &decision).await
}

/// Reverses a wrong top-up, cash-out, fee or grant, once, as a new movement in the other direction.
#[utoipa::path(
    post, path = "/v1/transfers/{id}/reversal", tag = "transfers", operation_id = "reversal",
    params(("id" = CommandIdText, Path, description = "The movement's id."), DeadlineMs),
    request_body = NewReversal,
    responses(
        (status = 201, description = "Committed.", body = CommittedTransfer),
        (status = 200, description = "Committed before: the first answer is repeated.", body = CommittedTransfer),
        CommandProblems,
    ),
)]
pub(crate) async fn reversal(
    State(door): State<Arc<HttpDoor>>,
    asked: RequestWithBody,
) -> Result<Response<Body>, Problem> {
    let body: NewReversal = json::read(&asked.body)?;
    let transfer = asked.head.path_command()?;
    let id = asked.head.command_id(body.id)?;
    let reversal = Reversal { id, transfer, reason: body.reason.0 };
    let decision = door.submit(&asked.head, &Command::Reversal(reversal), None).await?;
    respond_with_movement(&door, &asked.head, id, &decision).await
}

/// Answers with a movement whose accounts aren't in its command.
pub(crate) async fn respond_with_movement(
    door: &HttpDoor,
    head: &Head,
    id: CommandId,
    decision: &Decision,
) -> Result<Response<Body>, Problem> {
    let shape = door.movement_of(id, decision, head).await?;
    Ok(decision.respond_with(&CommittedTransfer::new(decision, shape)))
}

/// One committed movement.
#[utoipa::path(
    get, path = "/v1/transfers/{id}", tag = "transfers", operation_id = "get_transfer",
    params(("id" = CommandIdText, Path, description = "The movement's id."), ReadQuery, DeadlineMs),
    responses((status = 200, description = "The current state.", body = Seen<TransferShape>), ReadProblems),
)]
pub(crate) async fn get_transfer(
    State(door): State<Arc<HttpDoor>>,
    head: Head,
) -> Result<Response<Body>, Problem> {
    head.check_accepts_json()?;
    let id = head.path_command()?;
    let consistency = query::parameters(&head.uri, ["consistency"])?.consistency()?;
    match door.read_view(&head, Query::Transfer(id), consistency).await? {
        (View::Transfer(view), as_of) => {
            Ok(describe::json(StatusCode::OK, &Seen::new(TransferShape::from(*view), as_of)))
        }
        _ => Err(mismatched_answer()),
    }
}

/// A page of an account's history.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Page)]
pub(crate) struct HistoryPageShape {
    /// Newest first.
    items: Vec<TransferShape>,
    /// The start of the next page; `null`: this was the last.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

/// An account's movements, newest first. Pages stay right while new ones arrive.
#[utoipa::path(
    get, path = "/v1/accounts/{id}/transfers", tag = "accounts", operation_id = "history",
    params(("id" = AccountIdText, Path, description = "The account's id."), PageQuery, ReadQuery, DeadlineMs),
    responses((status = 200, description = "A page.", body = Seen<HistoryPageShape>), ReadProblems),
)]
pub(crate) async fn history(
    State(door): State<Arc<HttpDoor>>,
    head: Head,
) -> Result<Response<Body>, Problem> {
    head.check_accepts_json()?;
    let account: AccountId = head.path_account()?;
    let parameters = query::parameters(&head.uri, ["limit", "cursor", "consistency"])?;
    let (limit, before) = (parameters.limit()?, parameters.cursor()?);
    let query = Query::History { account, limit, before };
    let estimate = usize::try_from(limit).unwrap_or(usize::MAX).saturating_mul(HTTP_ITEM_BYTES);
    let room = door.bodies.reserve_answer(head.caller.key, estimate)?;
    match door.read_view(&head, query, parameters.consistency()?).await? {
        (View::History(page), as_of) => {
            let page = HistoryPageShape {
                items: page.items.into_iter().map(TransferShape::from).collect(),
                next_cursor: page.next.map(query::cursor_text),
            };
            Ok(room.attach(describe::json(StatusCode::OK, &Seen::new(page, as_of))))
        }
        _ => Err(mismatched_answer()),
    }
}
