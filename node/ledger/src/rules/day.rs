//! The end of a business day.

use evenkeel_wire::{
    day::{BusinessDate, CloseDay},
    outcome::Rejection,
};

use super::{
    context::CommandContext,
    verdict::{Committed, Stop},
};
use crate::{journal::EntryHead, tables::Tables};

/// The end of the day under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DayChange {
    next: BusinessDate,
    head: EntryHead,
}

/// Judges the end of a day: its marker must be alone in its entry and name the day under way. The
/// day's figures must add up.
pub(crate) fn judge(
    tables: &Tables,
    close: &CloseDay,
    context: &CommandContext<'_>,
) -> Result<DayChange, Stop> {
    if !context.is_alone {
        return Err(Rejection::DayNotOpen.into());
    }
    let is_date = BusinessDate::from_number(close.next.number()).is_ok();
    if close.closed != tables.days.date() || close.next <= close.closed || !is_date {
        return Err(Rejection::DayNotOpen.into());
    }
    tables.days.check(tables.accounts.totals().rows(), context.position())?;
    Ok(DayChange { next: close.next, head: *context.head() })
}

/// Closes the day and begins the next one.
pub(crate) fn apply(tables: &mut Tables, change: &DayChange) -> Committed {
    tables.close_day(change.next, &change.head);
    Committed::NOTHING
}

#[cfg(test)]
mod tests {
    use evenkeel_wire::account::AccountKind;

    use super::*;
    use crate::{
        containers::{ids::HashSeed, memory::MemoryAdvice},
        tests::support::world,
    };

    fn tables() -> Tables {
        let mut tables = Tables::new(HashSeed::fixed([3, 4]), MemoryAdvice::NONE);
        let assets = [world::asset("KRW"), world::asset("POINT")];
        tables.accounts.bootstrap(&assets, 1);
        tables.days.bootstrap(&assets, BusinessDate::parse("2026-11-26").unwrap());
        tables
    }

    fn close(closed: &str, next: &str) -> CloseDay {
        let date = |text| BusinessDate::parse(text).unwrap();
        CloseDay { closed: date(closed), next: date(next) }
    }

    fn close_day(tables: &mut Tables, command: &CloseDay, is_alone: bool) -> Result<(), Stop> {
        let change = world::with_context(&world::head(5, 1), 0, |context| {
            context.is_alone = is_alone;
            judge(tables, command, context)
        })?;
        apply(tables, &change);
        Ok(())
    }

    #[test]
    fn only_the_day_under_way_can_be_closed() {
        let mut tables = tables();
        let not_open = Err(Stop::Rejected(Rejection::DayNotOpen));
        let today = close("2026-11-26", "2026-11-27");
        assert_eq!(close_day(&mut tables, &today, false), not_open, "it isn't alone");
        for (closed, next, expected) in [
            ("2026-11-25", "2026-11-26", not_open.clone()),
            ("2026-11-27", "2026-11-28", not_open.clone()),
            ("2026-11-26", "2026-11-26", not_open.clone()),
            ("2026-11-26", "2026-11-25", not_open.clone()),
            ("2026-11-26", "2026-11-27", Ok(())),
            ("2026-11-26", "2026-11-27", not_open),
            ("2026-11-27", "2026-12-01", Ok(())),
        ] {
            let found = close_day(&mut tables, &close(closed, next), true);
            assert_eq!(found, expected, "{closed} to {next}");
        }
        assert_eq!(tables.days.date(), BusinessDate::parse("2026-12-01").unwrap());
    }

    #[test]
    fn a_day_whose_figures_do_not_add_up_stays_open() {
        let mut tables = tables();
        tables.accounts.totals.change(0, AccountKind::Wallet, 1);
        let today = close("2026-11-26", "2026-11-27");
        let found = close_day(&mut tables, &today, true);
        let Err(Stop::Fault(fault)) = found else { panic!("{found:?}") };
        assert!(fault.to_string().contains("wallet accounts opened with 0 KRW"), "{fault}");
        assert_eq!(tables.days.date(), today.closed);
    }
}
