//! Business days: the date, what moved in it so far, and the reports of the days that are closed.
//!
//! The figures of a day must add up when it's closed: for each asset and kind of account, opening
//! and movements make closing, or it's a fault. No clock is read: a day ends at the position of its
//! marker in the journal.

pub(crate) mod flows;
mod report;

use evenkeel_wire::{account::AccountKind, amount::Asset, day::BusinessDate, reply::DayView};

use self::{flows::Flow, report::DayReport};
use super::accounts::totals::{KINDS, column};
use crate::{containers::sorted::SortedTable, fault::LedgerFault, journal::EntryHead};

/// The key under which a checkpoint keeps the day under way; closed days have their dates' numbers.
const UNDER_WAY: u128 = 0;

/// Sums by kind of account.
pub(crate) type KindSums = [i128; KINDS];

/// The number of movements of one flow and the sum of their amounts, minor units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FlowTotal {
    pub(crate) count: u64,
    pub(crate) sum: u128,
}

/// The day under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OpenDay {
    pub(crate) date: BusinessDate,
    /// The first entry that belongs to it.
    pub(crate) first_position: u64,
    /// One row for each asset, in the order of genesis, as in `moved`.
    pub(crate) opening: Vec<KindSums>,
    pub(crate) moved: Vec<[FlowTotal; Flow::COUNT]>,
}

/// All days.
#[derive(Debug)]
pub(crate) struct Days {
    assets: Vec<Asset>,
    today: OpenDay,
    reports: SortedTable<DayReport>,
    /// The day under way when the running checkpoint began, until it's copied.
    copied: Option<Vec<u8>>,
    #[cfg(any(test, evenkeel_planted))]
    pub(crate) planted_miscount: bool,
}

impl Days {
    /// Before genesis.
    pub(crate) fn new() -> Self {
        Self {
            assets: Vec::new(),
            today: OpenDay::new(BusinessDate::FIRST, 0, Vec::new()),
            reports: SortedTable::default(),
            copied: None,
            #[cfg(any(test, evenkeel_planted))]
            planted_miscount: super::is_planted("miscount"),
        }
    }

    /// The first day begins, with all sums 0.
    pub(crate) fn bootstrap(&mut self, assets: &[Asset], date: BusinessDate) {
        self.assets = assets.to_vec();
        self.today = OpenDay::new(date, 0, vec![[0; KINDS]; assets.len()]);
    }

    /// The business date.
    pub(crate) fn date(&self) -> BusinessDate {
        self.today.date
    }

    /// Counts a movement. [`Self::uncount_movement`] undoes it.
    #[inline]
    pub(crate) fn count_movement(&mut self, flow: Flow, asset_index: u8, amount: u64) {
        #[cfg(any(test, evenkeel_planted))]
        if self.planted_miscount {
            return;
        }
        let moved = &mut self.today.moved[usize::from(asset_index)][flow.index()];
        moved.count = moved.count.wrapping_add(1);
        moved.sum = moved.sum.checked_add(amount.into()).expect("2^64 amounts fit in a u128");
    }

    /// Undoes a [`Self::count_movement`].
    pub(crate) fn uncount_movement(&mut self, flow: Flow, asset_index: u8, amount: u64) {
        let moved = &mut self.today.moved[usize::from(asset_index)][flow.index()];
        moved.count = moved.count.checked_sub(1).expect("it was counted");
        moved.sum = moved.sum.checked_sub(amount.into()).expect("it was counted");
    }

    /// Closes the day with the entry `head` and these sums; `next` begins. Gives the closed day,
    /// for [`Self::reopen`].
    pub(crate) fn close(
        &mut self,
        next: BusinessDate,
        closing: &[KindSums],
        head: &EntryHead,
    ) -> OpenDay {
        let opened = OpenDay::new(next, head.position.wrapping_add(1), closing.to_vec());
        let closed = std::mem::replace(&mut self.today, opened);
        let report = DayReport::new(&closed, &self.assets, closing, next, head);
        self.reports.set(key(closed.date), Some(report));
        closed
    }

    /// Undoes a [`Self::close`].
    pub(crate) fn reopen(&mut self, closed: OpenDay) {
        self.reports.set(key(closed.date), None);
        self.today = closed;
    }

    /// Whether opening and movements make these sums.
    ///
    /// # Errors
    /// When they don't: names the first figures that differ.
    pub(crate) fn check(&self, sums: &[KindSums], position: u64) -> Result<(), LedgerFault> {
        assert_eq!(sums.len(), self.assets.len(), "one row of sums for each asset");
        let rows = self.today.opening.iter().zip(&self.today.moved).zip(sums);
        for (asset, ((opening, moved), sums)) in self.assets.iter().zip(rows) {
            let net = net_sums(moved);
            for kind in AccountKind::ALL {
                let at = column(*kind);
                if opening[at].checked_add(net[at]) != Some(sums[at]) {
                    return Err(LedgerFault::new(format!(
                        "position {position}: day {}: {kind} accounts opened with {} {asset} and \
                         {:+} moved, which doesn't make their sum of {}",
                        self.today.date, opening[at], net[at], sums[at],
                    )));
                }
            }
        }
        Ok(())
    }

    /// The report of a closed day. A day that was skipped is empty.
    pub(crate) fn report(&self, date: BusinessDate) -> Option<DayView> {
        let (_, report) = self.reports.last_up_to(key(date))?;
        report.view_for(date)
    }

    /// The digest of all days.
    pub(crate) fn digest(&self) -> u64 {
        let today = blake3::hash(&self.today.encode());
        let today = u64::from_le_bytes(*today.as_bytes().first_chunk().expect("32 bytes"));
        today.wrapping_add(self.reports.digest())
    }

    /// See [`SortedTable::checkpoint_begin`].
    pub(crate) fn checkpoint_begin(&mut self, all: bool) {
        self.copied = Some(self.today.encode());
        self.reports.checkpoint_begin(all);
    }

    /// See [`SortedTable::checkpoint_next`].
    pub(crate) fn checkpoint_next(&mut self, left: &mut usize, put: &mut dyn FnMut(u128, Vec<u8>)) {
        if let Some(today) = self.copied.take_if(|_| *left > 0) {
            *left = left.wrapping_sub(1);
            put(UNDER_WAY, today);
        }
        self.reports.checkpoint_next(left, put);
    }

    /// See [`SortedTable::checkpoint_is_over`].
    pub(crate) fn checkpoint_is_over(&self) -> bool {
        self.copied.is_none() && self.reports.checkpoint_is_over()
    }

    /// See [`SortedTable::checkpoint_end`].
    pub(crate) fn checkpoint_end(&mut self, written: bool) {
        self.copied = None;
        self.reports.checkpoint_end(written);
    }

    /// See [`SortedTable::mark_checkpointed`].
    pub(crate) fn mark_checkpointed(&mut self) {
        self.reports.mark_checkpointed();
    }

    /// See [`SortedTable::audit_next`]. The figures of the day under way must make these sums.
    pub(crate) fn audit_next(&mut self, sums: &[KindSums], left: &mut usize) -> Option<bool> {
        let sound = self.reports.audit_next(left, &mut |_, _| true)?;
        Some(sound && self.check(sums, 0).is_ok())
    }

    /// See [`SortedTable::load`].
    pub(crate) fn load(&mut self, key: u128, bytes: &[u8]) -> Result<(), String> {
        if key == UNDER_WAY {
            self.today = OpenDay::decode(bytes)?;
            return Ok(());
        }
        self.reports.load(key, bytes)
    }

    /// After the rows of a checkpoint at this position were loaded: whether days follow each other
    /// and the figures make these sums.
    pub(crate) fn finish_loading(
        &mut self,
        assets: &[Asset],
        sums: &[KindSums],
        position: u64,
    ) -> Result<(), String> {
        self.assets = assets.to_vec();
        let today = &self.today;
        if today.opening.len() != assets.len() {
            return Err(format!("it has {} assets, genesis {}", today.opening.len(), assets.len()));
        }
        let mut next: Option<(BusinessDate, u64)> = None;
        for (_, report) in self.reports.iter() {
            report.check(assets)?;
            check_follows(next, report.day_start())?;
            next = Some(report.next_day_start());
        }
        check_follows(next, (today.date, today.first_position))?;
        if today.first_position > position.saturating_add(1) {
            return Err(format!("day {} begins after the marker", today.date));
        }
        self.check(sums, position).map_err(|fault| fault.to_string())
    }
}

/// Whether a day and its first entry follow the end of the day before; the first day begins with
/// the journal.
fn check_follows(
    ended: Option<(BusinessDate, u64)>,
    (date, first_position): (BusinessDate, u64),
) -> Result<(), String> {
    if ended.map_or(first_position != 0, |ended| ended != (date, first_position)) {
        return Err(format!("day {date} doesn't follow the one before"));
    }
    Ok(())
}

/// The sum of movements into each kind of account, less those out of it.
fn net_sums(moved: &[FlowTotal; Flow::COUNT]) -> KindSums {
    let mut net = [0_i128; KINDS];
    for (flow, moved) in Flow::iter_all().zip(moved) {
        let sum = i128::try_from(moved.sum).expect("2^64 amounts fit in an i128");
        let (from, to) = (column(flow.payer()), column(flow.payee()));
        net[from] = net[from].checked_sub(sum).expect("2^64 amounts fit in an i128");
        net[to] = net[to].checked_add(sum).expect("2^64 amounts fit in an i128");
    }
    net
}

fn key(date: BusinessDate) -> u128 {
    date.number().into()
}

#[cfg(test)]
mod tests;
