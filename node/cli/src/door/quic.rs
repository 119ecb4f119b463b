//! The QUIC door, over wire's client: its views in the shapes that both doors share.

use std::time::Duration;

use evenkeel_wire::{
    client::{Client, ClientError},
    command::Command,
    id::AccountId,
    reply::{View, ViewReply},
    request::{Consistency, Cursor, Query},
};
use tokio::time::timeout;

use super::{
    ReadSource,
    http::id_of,
    shapes::{Account, CommandResult, HistoryPart, Movement, Sums, Totals},
};

/// The command is decided already, so its description mustn't take long.
const DESCRIBING_MAX: Duration = Duration::from_secs(1);

pub(crate) async fn submit(
    client: &Client,
    command: &Command,
    describe: bool,
) -> Result<CommandResult, ClientError> {
    let answers = client.submit(std::slice::from_ref(command)).await?;
    let Some(answered) = answers.first() else {
        return Err(ClientError::Unknown("the site answered without an outcome".into()));
    };
    let mut done = CommandResult::new(id_of(command), answered);
    let (stamp, outcome) = (&answered.stamp, &answered.outcome);
    if outcome.rejection.is_some() {
        return Ok(done);
    }
    if moves_money(command) {
        done.debit_after = Some(outcome.debit_after);
        done.credit_after = Some(outcome.credit_after);
    }
    if let Command::Transfer(transfer) = command {
        done.transfer = Some(Movement::from_transfer(transfer, stamp, outcome.index));
    } else if describe && let Some(query) = query_about(command) {
        let asked = timeout(DESCRIBING_MAX, client.read(query, Consistency::Linearizable)).await;
        if let Ok(Ok(reply)) = asked {
            describe_result(&mut done, reply.view);
        }
    }
    Ok(done)
}

fn moves_money(command: &Command) -> bool {
    matches!(
        command,
        Command::Transfer(_) | Command::Capture(_) | Command::Refund(_) | Command::Reversal(_)
    )
}

/// The query that describes a command's result.
fn query_about(command: &Command) -> Option<Query> {
    Some(match command {
        Command::OpenAccount(open) => Query::Account(open.id),
        Command::SetStatus(change) => Query::Account(change.account),
        Command::SetLimits(change) => Query::Account(change.account),
        Command::Hold(hold) => Query::Hold(hold.id),
        Command::Void(void) => Query::Hold(void.hold),
        Command::Capture(capture) => Query::Transfer(capture.id),
        Command::Refund(refund) => Query::Transfer(refund.id),
        Command::Reversal(reversal) => Query::Transfer(reversal.id),
        _ => return None,
    })
}

fn describe_result(done: &mut CommandResult, view: View) {
    match view {
        View::Account(account) => done.account = Some(Account::new(account, None)),
        View::Hold(hold) => done.hold = Some((*hold).into()),
        View::Transfer(transfer) => done.transfer = Some((*transfer).into()),
        _ => {}
    }
}

pub(crate) async fn account(
    client: &Client,
    id: AccountId,
    look: ReadSource<'_>,
) -> Result<Account, ClientError> {
    let query = Query::Account(id);
    let (consistency, site) = match look {
        ReadSource::Current(site) => (Consistency::Linearizable, site),
        ReadSource::Local(site) => (Consistency::Local, site),
    };
    let ViewReply { view, as_of, .. } = match site {
        Some(site) => client.read_at(site, query, consistency).await?,
        None => client.read(query, consistency).await?,
    };
    match view {
        View::Account(account) => Ok(Account::new(account, as_of)),
        _ => Err(unexpected_answer("an account")),
    }
}

pub(crate) async fn history(
    client: &Client,
    account: AccountId,
    limit: u32,
    cursor: Option<&str>,
) -> Result<HistoryPart, ClientError> {
    let before = cursor.and_then(read_cursor);
    let query = Query::History { account, limit, before };
    match client.read(query, Consistency::Linearizable).await?.view {
        View::History(page) => Ok(HistoryPart {
            items: page.items.into_iter().map(Movement::from).collect(),
            next_cursor: page.next.map(|next| format!("{}.{}", next.position, next.command)),
        }),
        _ => Err(unexpected_answer("a history")),
    }
}

/// Parses a cursor as [`history`] writes it.
fn read_cursor(text: &str) -> Option<Cursor> {
    let (position, command) = text.split_once('.')?;
    Some(Cursor { position: position.parse().ok()?, command: command.parse().ok()? })
}

pub(crate) async fn totals(client: &Client) -> Result<Totals, ClientError> {
    match client.read(Query::Totals, Consistency::Linearizable).await?.view {
        View::Totals(totals) => {
            let sums = totals
                .assets
                .iter()
                .map(|asset| (asset.asset.name().to_owned(), Sums::from(asset).sum()));
            Ok(Totals { position: totals.position, sums: sums.collect() })
        }
        _ => Err(unexpected_answer("totals")),
    }
}

fn unexpected_answer(wanted: &str) -> ClientError {
    ClientError::Unavailable(format!("the site answered something else than {wanted}"))
}
