//! A business day as bytes, under way and closed, and its report.

use evenkeel_wire::{
    amount::Asset,
    codec,
    day::BusinessDate,
    limits::ASSETS_MAX,
    reply::{DayAsset, DayMovements, DayView},
    transfer::TransferKind,
};

use super::{FlowTotal, KindSums, OpenDay, flows::Flow};
use crate::{
    containers::sorted::TableValue,
    journal::EntryHead,
    tables::accounts::totals::{self, KINDS},
};

/// A closed day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DayReport {
    view: DayView,
    /// The day that began when it ended.
    next: BusinessDate,
}

impl DayReport {
    pub(crate) fn new(
        closed: &OpenDay,
        assets: &[Asset],
        closing: &[KindSums],
        next: BusinessDate,
        head: &EntryHead,
    ) -> Self {
        let rows = closed.opening.iter().zip(closing).zip(&closed.moved);
        let assets = assets.iter().zip(rows).map(|(asset, ((opening, closing), moved))| DayAsset {
            opening: totals::view(*asset, opening),
            closing: totals::view(*asset, closing),
            movements: movements(moved),
        });
        let view = DayView {
            date: closed.date,
            assets: assets.collect(),
            first_position: closed.first_position,
            last_position: head.position,
            link: head.link,
        };
        Self { view, next }
    }

    /// The report of a date that this day's marker closed. Dates between this day and the next one
    /// are empty: they begin after the marker, which closed them too.
    pub(crate) fn view_for(&self, date: BusinessDate) -> Option<DayView> {
        if date == self.view.date {
            return Some(self.view.clone());
        }
        if date < self.view.date || date >= self.next {
            return None;
        }
        let nothing = |asset: &DayAsset| DayAsset {
            opening: asset.closing,
            closing: asset.closing,
            movements: Vec::new(),
        };
        Some(DayView {
            date,
            assets: self.view.assets.iter().map(nothing).collect(),
            first_position: self.next_day_start().1,
            ..self.view
        })
    }

    /// The day, and its first entry.
    pub(crate) fn day_start(&self) -> (BusinessDate, u64) {
        (self.view.date, self.view.first_position)
    }

    /// The next day, and its first entry.
    pub(crate) fn next_day_start(&self) -> (BusinessDate, u64) {
        (self.next, self.view.last_position.wrapping_add(1))
    }

    /// Whether its assets are these.
    pub(crate) fn check(&self, assets: &[Asset]) -> Result<(), String> {
        let named = self.view.assets.iter().map(|row| (row.opening.asset, row.closing.asset));
        if !named.eq(assets.iter().map(|asset| (*asset, *asset))) {
            return Err(format!("day {}: its assets aren't those of genesis", self.view.date));
        }
        Ok(())
    }
}

impl TableValue for DayReport {
    fn digest(&self) -> u64 {
        let hash = blake3::hash(&self.encode());
        u64::from_le_bytes(*hash.as_bytes().first_chunk().expect("32 bytes"))
    }

    fn encode(&self) -> Vec<u8> {
        codec::encode(&(&self.view, self.next))
    }

    fn decode(key: u128, bytes: &[u8]) -> Result<Self, String> {
        let (view, next): (DayView, BusinessDate) =
            codec::decode(bytes).map_err(|error| error.to_string())?;
        let dates = [view.date, next].map(BusinessDate::number);
        if dates.iter().any(|date| BusinessDate::from_number(*date).is_err()) {
            return Err(format!("{dates:?} aren't dates"));
        }
        if key != u128::from(dates[0]) || view.date >= next {
            return Err(format!("day {} that ended when {next} began", view.date));
        }
        if view.first_position > view.last_position {
            return Err(format!("day {}: it ends before it begins", view.date));
        }
        Ok(Self { view, next })
    }
}

/// One row for each kind of movement that occurred.
fn movements(moved: &[FlowTotal; Flow::COUNT]) -> Vec<DayMovements> {
    let kinds = TransferKind::ALL.iter().map(|kind| {
        let flows = Flow::iter_all().zip(moved).filter(|(flow, _)| flow.kind() == *kind);
        let all = flows.fold(FlowTotal::default(), |all, (_, moved)| all.plus(*moved));
        let sum = u64::try_from(all.sum).unwrap_or(u64::MAX);
        DayMovements { kind: *kind, count: all.count, sum }
    });
    kinds.filter(|row| row.count > 0).collect()
}

impl FlowTotal {
    fn plus(self, other: Self) -> Self {
        let sum = self.sum.checked_add(other.sum).expect("2^64 amounts fit in a u128");
        Self { count: self.count.wrapping_add(other.count), sum }
    }
}

/// An asset of a day under way: opening sums by kind, then the number, count and sum of each flow.
type DayRow = (KindSums, Vec<(u8, u64, u128)>);

impl OpenDay {
    /// A day in which nothing has moved yet.
    pub(crate) fn new(date: BusinessDate, first_position: u64, opening: Vec<KindSums>) -> Self {
        let moved = vec![[FlowTotal::default(); Flow::COUNT]; opening.len()];
        Self { date, first_position, opening, moved }
    }

    /// The bytes in a checkpoint.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let moved = |moved: &[FlowTotal; Flow::COUNT]| -> Vec<(u8, u64, u128)> {
            let flows = Flow::iter_all().zip(moved).filter(|(_, moved)| moved.count > 0);
            flows.map(|(flow, moved)| (flow.number(), moved.count, moved.sum)).collect()
        };
        let rows = self.opening.iter().zip(&self.moved);
        let rows: Vec<DayRow> = rows.map(|(opening, row)| (*opening, moved(row))).collect();
        codec::encode(&(self.date, self.first_position, rows))
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, String> {
        let (date, first_position, rows): (BusinessDate, u64, Vec<DayRow>) =
            codec::decode(bytes).map_err(|error| error.to_string())?;
        let date = BusinessDate::from_number(date.number()).map_err(|error| error.to_string())?;
        if rows.len() > ASSETS_MAX {
            return Err(format!("{} assets, {ASSETS_MAX} at most", rows.len()));
        }
        let mut today = Self::new(date, first_position, vec![[0; KINDS]; rows.len()]);
        for (at, (opening, moved)) in rows.into_iter().enumerate() {
            today.opening[at] = opening;
            for (number, count, sum) in moved {
                let flow = Flow::from_number(number).ok_or(format!("{number} is no flow"))?;
                let row = &mut today.moved[at][flow.index()];
                if row.count > 0 || count == 0 || sum < count.into() || sum > SUM_MAX {
                    return Err(format!("flow {number}: {count} movements of {sum} in all"));
                }
                *row = FlowTotal { count, sum };
            }
        }
        Ok(today)
    }
}

/// More than the sum of all amounts can be.
const SUM_MAX: u128 = 1 << 120;
