//! Days end and holds expire on time: no entry after midnight counts for the day before, and while
//! all sites are healthy no hold outlives its time by more than a second.

use evenkeel_node::clock::calendar;
use evenkeel_oracle::model::Model;
use evenkeel_storage::journal::Record;

use super::CheckResult;

const SECOND: u64 = 1_000_000;

/// Checks the date of a record that the model has just applied.
///
/// # Errors
/// When it counts for a day that is over.
pub fn check_entry(model: &Model, record: &Record) -> CheckResult {
    let Some(date) = model.date() else { return Ok(()) };
    let calendar = calendar::date_at(record.time, crate::simulation::world::TIME_ZONE);
    if date >= calendar {
        return Ok(());
    }
    Err(format!(
        "upkeep: position {} counts for {date} and was made on {calendar}",
        record.position
    ))
}

/// Checks the holds after all sites were healthy for a while.
///
/// # Errors
/// When a hold that was due more than a second before `now` isn't released.
pub fn check_at_rest(model: &Model, now: u64) -> CheckResult {
    match model.overdue_hold(now.saturating_sub(SECOND)) {
        None => Ok(()),
        Some(hold) => Err(format!("upkeep: hold {hold} was due a second ago and isn't released")),
    }
}
