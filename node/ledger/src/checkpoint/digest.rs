//! The digest of all replicated state, kept along while the state changes, so that it can be asked for at any time.
//!
//! Rows and outcomes are each mixed to 64 bits and added up, so their order in memory doesn't matter. It finds nodes
//! that differ by a bug or by damage; it's no defence against anybody who writes into a node's memory. Ids that are
//! still in memory aren't part of it (when they leave is each node's own affair), the outcomes given under them are.

use evenkeel_wire::{
    account::Limits,
    amount::Asset,
    codec,
    outcome::{Outcome, Rejection},
};

use crate::{
    Ledger,
    containers::mix::{ROOTS, fold, halves},
    tables::accounts::{AccountOpening, BalanceRow, extra::Extra},
};

const DOMAIN: &[u8] = b"evenkeel ledger digest 2";

/// Over everything.
pub(crate) fn ledger_digest(ledger: &Ledger) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    let mut number = |number: u64| {
        hasher.update(&number.to_le_bytes());
    };
    number(ledger.position().map_or(0, |position| position.wrapping_add(1)));
    number(ledger.time);
    number(ledger.outcomes.count);
    number(ledger.outcomes.sum);
    number(u64::try_from(ledger.accounts.count()).expect("usize fits in 64 bits"));
    number(ledger.accounts.digest);
    number(u64::try_from(ledger.holds.len()).expect("usize fits in 64 bits"));
    number(ledger.holds.digest());
    for (count, digest) in [
        (ledger.refunds.len(), ledger.refunds.digest()),
        (ledger.reversals.len(), ledger.reversals.digest()),
        (ledger.keys.rows.len(), ledger.keys.rows.digest()),
    ] {
        number(u64::try_from(count).expect("usize fits in 64 bits"));
        number(digest);
    }
    number(ledger.days.digest());
    hasher.update(DOMAIN);
    hasher.update(&ledger.genesis.as_ref().map_or([0; 32], |founded| founded.digest));
    for row in ledger.accounts.totals().rows() {
        for sum in row {
            hasher.update(&sum.to_le_bytes());
        }
    }
    *hasher.finalize().as_bytes()
}

/// Of what never changes. Only computed when an account is opened, loaded or audited.
pub(crate) fn fixed(
    row: &BalanceRow,
    asset: Asset,
    opened: &AccountOpening,
    limits: &Limits,
) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&row.id.number().to_le_bytes());
    hasher.update(&[row.kind.byte()]);
    hasher.update(&asset.number().to_le_bytes());
    hasher.update(&opened.at.to_le_bytes());
    hasher.update(&opened.position.to_le_bytes());
    hasher.update(&opened.index.to_le_bytes());
    let has_limits = *limits != Limits::default();
    hasher.update(&[u8::from(has_limits)]);
    if has_limits {
        hasher.update(&codec::encode(limits));
    }
    hasher.update(opened.label.as_str().as_bytes());
    let hash = hasher.finalize();
    u64::from_le_bytes(*hash.as_bytes().first_chunk().expect("32 bytes"))
}

/// Of a row, without its limits and holds.
#[inline]
pub(crate) fn row(row: &BalanceRow) -> u64 {
    let balance = fold(row.fixed ^ ROOTS[0], bits(row.posted) ^ ROOTS[1]);
    let day = (u64::from(row.debited_date) << 8) | u64::from(row.status.byte());
    let day = fold(row.debited_today ^ ROOTS[4], day ^ ROOTS[5]);
    fold(balance ^ day ^ ROOTS[2], row.changed_position ^ ROOTS[3])
}

/// Of a row's limits and holds, besides what [`row`] says of it; 0 where there are none of its own.
pub(crate) fn extra(row: &BalanceRow, extra: &Extra, plain: &Extra) -> u64 {
    if extra == plain {
        return 0;
    }
    let limits = fold(extra.max_balance ^ ROOTS[0], extra.per_transfer ^ ROOTS[1]);
    let holds = fold(bits(extra.held) ^ ROOTS[2], u64::from(extra.incoming_holds) ^ ROOTS[3]);
    let all = fold(limits ^ ROOTS[4], extra.daily_debit ^ ROOTS[5]);
    fold(fold(all ^ ROOTS[6], holds ^ ROOTS[7]) ^ ROOTS[0], row.fixed ^ ROOTS[2])
}

/// Every outcome that was ever given: replays apart, since they give none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct OutcomesDigest {
    pub(crate) count: u64,
    pub(crate) sum: u64,
}

impl OutcomesDigest {
    #[inline]
    pub(crate) fn add(&mut self, id: u128, position: u64, outcome: &Outcome) {
        let (low, high) = halves(id);
        let code = outcome.rejection.map_or(0, Rejection::byte);
        let code = (u64::from(outcome.index) << 8) | u64::from(code);
        let id = fold(low ^ ROOTS[0], high ^ ROOTS[1]);
        let place = fold(position ^ ROOTS[2], code ^ ROOTS[3]);
        let balances =
            fold(bits(outcome.debit_after) ^ ROOTS[4], bits(outcome.credit_after) ^ ROOTS[5]);
        let amount = fold(outcome.amount ^ ROOTS[1], ROOTS[6]);
        let told = balances ^ amount ^ ROOTS[2];
        let mixed = fold(fold(id ^ ROOTS[6], place ^ ROOTS[7]) ^ ROOTS[0], told);
        self.count = self.count.wrapping_add(1);
        self.sum = self.sum.wrapping_add(mixed);
    }
}

#[inline]
fn bits(balance: i64) -> u64 {
    u64::from_le_bytes(balance.to_le_bytes())
}
