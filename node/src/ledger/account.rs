//! Opening an account. The account's id is the idempotency key: the same again replays, other content is
//! `account_exists`. An opening that was rejected leaves nothing behind and is judged anew when it comes again.

use evenkeel_wire::{
    account::{AccountKind, OpenAccount},
    outcome::{Answer, Outcome, Rejection},
};

use super::{
    EntryHead, Unwell,
    accounts::{Accounts, NO_LIMIT, Opened, index},
    apply::Verdict,
    first::{FirstAnswers, stamp},
    genesis::Founded,
};

pub(super) fn open(
    accounts: &mut Accounts,
    founded: &Founded,
    head: &EntryHead,
    outcome_index: u16,
    open: &OpenAccount,
    firsts: &mut dyn FirstAnswers,
) -> Result<Verdict, Unwell> {
    if let Some(slot) = accounts.find(open.id) {
        return again(accounts, head, slot, open, firsts);
    }
    let assets = &founded.genesis.assets;
    let Some(asset) = assets.iter().position(|asset| *asset == open.asset) else {
        return Ok(Verdict::Rejected(Rejection::AssetMismatch));
    };

    // Every check has passed; nothing below can fail.
    let asset_index = u8::try_from(asset).expect("at most ASSETS_MAX");
    let max_balance = match open.kind {
        AccountKind::Wallet => founded.genesis.wallet_max_balance,
        _ => NO_LIMIT,
    };
    let opened = Opened {
        at: head.time,
        position: head.position,
        index: outcome_index,
        label: open.label.clone(),
    };
    accounts.open(open, asset_index, max_balance, opened);
    Ok(Verdict::Committed { debit_after: 0, credit_after: 0 })
}

/// The account is there already.
fn again(
    accounts: &Accounts,
    head: &EntryHead,
    slot: u32,
    open: &OpenAccount,
    firsts: &mut dyn FirstAnswers,
) -> Result<Verdict, Unwell> {
    let row = accounts.row(slot);
    let opened = &accounts.opened[index(slot)];
    if row.kind != open.kind || row.asset != open.asset || opened.label != open.label {
        return Ok(Verdict::Rejected(Rejection::AccountExists));
    }
    let first = if opened.position == head.position {
        stamp(head)
    } else {
        // The stamp is the whole entry's: any of its commands has it.
        firsts.recorded(opened.position, 0)?.stamp
    };
    let outcome = Outcome {
        index: opened.index,
        rejection: None,
        amount: 0,
        debit_after: 0,
        credit_after: 0,
    };
    Ok(Verdict::Again(Answer { outcome, first: Some(first) }))
}
