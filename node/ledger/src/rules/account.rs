//! Opening an account. The account's id is the idempotency key: the same again replays, other content is
//! `account_exists`. An opening that was rejected leaves nothing behind and is judged anew when it comes again.

use evenkeel_wire::{
    account::OpenAccount,
    outcome::{Answer, Outcome, Rejection},
};

use crate::{
    EntryHead, LedgerFault,
    entry::execute::Verdict,
    known_ids::{JournalLookup, stamp},
    tables::accounts::{AccountOpening, Accounts, extra, row_index},
};

pub(crate) fn open(
    accounts: &mut Accounts,
    head: &EntryHead,
    outcome_index: u16,
    open: &OpenAccount,
    firsts: &mut dyn JournalLookup,
) -> Result<Verdict, LedgerFault> {
    if !extra::are_valid(&open.limits) {
        return Ok(Verdict::Rejected(Rejection::AmountInvalid));
    }
    if let Some(slot) = accounts.find(open.id) {
        return replay_opening(accounts, head, slot, open, firsts);
    }
    let Some(asset) = accounts.assets.iter().position(|asset| *asset == open.asset) else {
        return Ok(Verdict::Rejected(Rejection::AssetMismatch));
    };

    // Every check has passed; nothing below can fail.
    let asset_index = u8::try_from(asset).expect("at most ASSETS_MAX");
    let opened = AccountOpening {
        at: head.time,
        position: head.position,
        index: outcome_index,
        limits: accounts.opening_limits.intern_limits(&open.limits),
        label: open.label.clone(),
    };
    accounts.open(open, asset_index, opened);
    Ok(Verdict::DONE)
}

/// The account is there already. What became of its limits since doesn't matter: the same opening is the same command.
fn replay_opening(
    accounts: &Accounts,
    head: &EntryHead,
    slot: u32,
    open: &OpenAccount,
    firsts: &mut dyn JournalLookup,
) -> Result<Verdict, LedgerFault> {
    let row = accounts.row(slot);
    let opened = &accounts.opened[row_index(slot)];
    let is_same = row.kind == open.kind
        && accounts.asset(row) == open.asset
        && accounts.opening_limits.get(opened.limits) == Some(open.limits)
        && opened.label == open.label;
    if !is_same {
        return Ok(Verdict::Rejected(Rejection::AccountExists));
    }
    let first = if opened.position == head.position {
        stamp(head)
    } else {
        // The stamp is the whole entry's: any of its commands has it.
        firsts.read_command(opened.position, 0)?.stamp
    };
    let outcome = Outcome {
        index: opened.index,
        rejection: None,
        amount: 0,
        debit_after: 0,
        credit_after: 0,
    };
    Ok(Verdict::Replayed(Answer { outcome, first: Some(first) }))
}
