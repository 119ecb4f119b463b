//! The settlement of a closed business day: the amounts due to each merchant, and the flows through
//! each bank.
//!
//! Counted from the journal between the day's first and last entry, so it's the same on every node
//! at any time, and compared with the day's report: figures that don't add up to it are never
//! returned.

use std::collections::BTreeMap;

use evenkeel_wire::{
    account::AccountKind,
    amount::Asset,
    day::BusinessDate,
    id::AccountId,
    reply::DayView,
    transfer::{Transfer, TransferKind},
};

use super::record_kind;
use super::{
    HistoryError, history_reader::HistoryReader, rows::is_new_and_committed, walk::decode_commands,
};
use crate::limits::READ_BYTES_MAX;

/// A day's settlement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    pub date: BusinessDate,
    /// By account and asset; only those with movements.
    pub merchants: Vec<MerchantRow>,
    /// By account and asset; only those with movements.
    pub banks: Vec<BankRow>,
}

/// A merchant's day, in the asset's minor unit. Cash-outs aren't included: they pay out earlier
/// balances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MerchantRow {
    pub account: AccountId,
    pub asset: Asset,
    /// Payments received, captures included.
    pub payments: i128,
    /// Refunds paid.
    pub refunds: i128,
    /// Fees paid, minus reversed fees: below 0 if a fee of an earlier day was reversed.
    pub fees: i128,
    /// `payments - refunds - fees`.
    pub net: i128,
}

/// A bank account's day, in the asset's minor unit. Its net outflow is `top_ups - cash_outs -
/// reversals`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BankRow {
    pub account: AccountId,
    pub asset: Asset,
    /// Amounts paid out of it.
    pub top_ups: i128,
    /// Amounts paid into it.
    pub cash_outs: i128,
    /// Amounts that reversals returned to it: reversed top-ups minus reversed cash-outs.
    pub reversals: i128,
}

/// The running counts.
#[derive(Default)]
struct SettlementCounts {
    merchants: BTreeMap<(AccountId, Asset), [i128; 3]>,
    banks: BTreeMap<(AccountId, Asset), [i128; 3]>,
    /// Number and sum by asset and kind.
    movements: BTreeMap<(Asset, TransferKind), (u64, u128)>,
    kinds: BTreeMap<AccountId, AccountKind>,
}

impl HistoryReader<'_> {
    /// The settlement of a closed day. `None`: the day isn't closed. Reads the whole day's part of
    /// the journal.
    ///
    /// # Errors
    /// When a record can't be read, or the figures don't match the day's report.
    pub fn compute_settlement(
        &self,
        date: BusinessDate,
    ) -> Result<Option<Settlement>, HistoryError> {
        let Some(report) = self.ledger.closed_day(date) else { return Ok(None) };
        let mut counts = SettlementCounts::default();
        let mut next = report.first_position;
        while next <= report.last_position {
            let end = report.last_position + 1;
            let records = self.history.journal.read(next, end, READ_BYTES_MAX)?;
            let Some(last) = records.last() else {
                return Err(HistoryError::new(format!("there is no entry {next}")));
            };
            next = last.position + 1;
            for record in records.iter().filter(|record| record.kind == record_kind::COMMANDS) {
                let outcomes = self.entry_outcomes(record.position)?;
                for (command, decided) in decode_commands(&record.payload).zip(&outcomes) {
                    let (_, command, _) = command.map_err(HistoryError::new)?;
                    if is_new_and_committed(decided)
                        && let Some(moved) = self.resolve_movement(command, &decided.outcome)?
                    {
                        self.count_movement(&moved, &mut counts)?;
                    }
                }
            }
        }
        counts.check_against_report(&report)?;
        Ok(Some(counts.into_settlement(date)))
    }

    fn count_movement(
        &self,
        moved: &Transfer,
        counts: &mut SettlementCounts,
    ) -> Result<(), HistoryError> {
        let amount = i128::from(moved.amount.0);
        let (count, sum) = counts.movements.entry((moved.asset, moved.kind)).or_default();
        *count += 1;
        *sum += u128::from(moved.amount.0);
        // A credit counts as positive, a debit as negative.
        for (account, paid) in [(moved.debit, -amount), (moved.credit, amount)] {
            let account_kind = self.kind_of(account, counts)?;
            let key = (account, moved.asset);
            let (rows, column, change) = match (account_kind, moved.kind) {
                (AccountKind::Merchant, TransferKind::Payment) => (&mut counts.merchants, 0, paid),
                (AccountKind::Merchant, TransferKind::Refund) => (&mut counts.merchants, 1, -paid),
                // A merchant's cash-out isn't part of its day, and neither is its reversal; a fee's
                // reversal is.
                (AccountKind::Merchant, TransferKind::Fee) => (&mut counts.merchants, 2, -paid),
                (AccountKind::Merchant, TransferKind::Reversal)
                    if self.kind_of(moved.debit, counts)? == AccountKind::Fee =>
                {
                    (&mut counts.merchants, 2, -paid)
                }
                (AccountKind::Bank, TransferKind::TopUp) => (&mut counts.banks, 0, -paid),
                (AccountKind::Bank, TransferKind::CashOut) => (&mut counts.banks, 1, paid),
                (AccountKind::Bank, TransferKind::Reversal) => (&mut counts.banks, 2, paid),
                _ => continue,
            };
            rows.entry(key).or_default()[column] += change;
        }
        Ok(())
    }

    /// An account's kind, which never changes.
    fn kind_of(
        &self,
        id: AccountId,
        counts: &mut SettlementCounts,
    ) -> Result<AccountKind, HistoryError> {
        if let Some(kind) = counts.kinds.get(&id) {
            return Ok(*kind);
        }
        let account = self.ledger.account(id);
        let kind = account.ok_or_else(|| HistoryError::new(format!("account {id} is gone")))?.kind;
        // Merchants, banks and fee accounts are few and repeat; wallets don't.
        if kind != AccountKind::Wallet {
            counts.kinds.insert(id, kind);
        }
        Ok(kind)
    }
}

impl SettlementCounts {
    /// Checks the counted movements against the day's report.
    fn check_against_report(&self, report: &DayView) -> Result<(), HistoryError> {
        let reported = report.assets.iter().flat_map(|row| {
            let asset = row.opening.asset;
            row.movements.iter().map(move |row| ((asset, row.kind), (row.count, row.sum)))
        });
        let reported: BTreeMap<_, _> = reported.collect();
        let shown = |sum: u128| u64::try_from(sum).unwrap_or(u64::MAX);
        let counted: BTreeMap<_, _> = self
            .movements
            .iter()
            .map(|(key, (count, sum))| (*key, (*count, shown(*sum))))
            .collect();
        if counted == reported {
            return Ok(());
        }
        Err(HistoryError::new(format!(
            "the movements of {} don't add up to its report: counted {counted:?}, reported {reported:?}",
            report.date
        )))
    }

    fn into_settlement(self, date: BusinessDate) -> Settlement {
        let merchants = self.merchants.into_iter().map(|((account, asset), columns)| {
            let [payments, refunds, fees] = columns;
            let net = payments - refunds - fees;
            MerchantRow { account, asset, payments, refunds, fees, net }
        });
        let banks = self.banks.into_iter().map(|((account, asset), columns)| {
            let [top_ups, cash_outs, reversals] = columns;
            BankRow { account, asset, top_ups, cash_outs, reversals }
        });
        Settlement { date, merchants: merchants.collect(), banks: banks.collect() }
    }
}
