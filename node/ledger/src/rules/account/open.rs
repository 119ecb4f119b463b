//! Opening an account. The account's id is the idempotency key: the same opening replays, other
//! content is `account_exists`. A rejected opening isn't recorded and is judged anew when it comes
//! again.

use evenkeel_wire::{account::OpenAccount, outcome::Rejection};

use crate::{
    rules::{
        context::CommandContext,
        verdict::{Committed, Stop},
    },
    tables::{
        Tables,
        accounts::{AccountOpening, extra, row_index},
    },
};

/// An opening that passed every check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OpeningChange<'a> {
    open: &'a OpenAccount,
    asset_index: u8,
    at: u64,
    position: u64,
    index: u16,
}

/// Judges an opening.
pub(crate) fn judge<'a>(
    tables: &Tables,
    open: &'a OpenAccount,
    context: &mut CommandContext<'_>,
) -> Result<OpeningChange<'a>, Stop> {
    if !extra::are_valid(&open.limits) {
        return Err(Rejection::AmountInvalid.into());
    }
    if let Some(slot) = tables.accounts.find(open.id) {
        return Err(judge_existing(tables, slot, open, context));
    }
    let assets = &tables.accounts.assets;
    let asset = assets.iter().position(|asset| *asset == open.asset);
    let asset = asset.ok_or(Rejection::AssetMismatch)?;
    let asset_index = u8::try_from(asset).expect("at most ASSETS_MAX");
    let head = context.head();
    let index = context.next_index;
    Ok(OpeningChange { open, asset_index, at: head.time, position: head.position, index })
}

/// The account exists. Changes of its limits since don't matter: the same opening is the same
/// command.
fn judge_existing(
    tables: &Tables,
    slot: u32,
    open: &OpenAccount,
    context: &mut CommandContext<'_>,
) -> Stop {
    let accounts = &tables.accounts;
    let row = accounts.row(slot);
    let opened = &accounts.opened[row_index(slot)];
    let is_same = row.kind == open.kind
        && accounts.asset(row) == open.asset
        && accounts.opening_limits.get(opened.limits) == Some(open.limits)
        && opened.label == open.label;
    if !is_same {
        return Stop::Rejected(Rejection::AccountExists);
    }
    context
        .first_answer(opened.position, opened.index, Committed::NOTHING)
        .map_or_else(Stop::Fault, Stop::Replayed)
}

/// Opens the account.
pub(crate) fn apply(tables: &mut Tables, change: &OpeningChange<'_>) -> Committed {
    let OpeningChange { open, asset_index, at, position, index } = *change;
    let limits = tables.accounts.opening_limits.intern_limits(&open.limits);
    let label = open.label.clone();
    let opened = AccountOpening { at, position, index, limits, label };
    tables.accounts.open(open, asset_index, opened);
    Committed::NOTHING
}
