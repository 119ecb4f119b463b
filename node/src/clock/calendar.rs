//! The business calendar: the date that a clock shows in a time zone.
//!
//! Used only to make genesis and the markers of days. The ledger never calls it: its dates arrive
//! in commands.

use evenkeel_wire::day::BusinessDate;
use jiff::{Timestamp, civil::Date, tz::TimeZone};

/// The date at a time (microseconds since the Unix epoch) in a zone (its IANA name). An unknown
/// zone counts as UTC; times before 1970 count as its first day.
#[must_use]
pub fn date_at(micros: u64, time_zone: &str) -> BusinessDate {
    let zone = TimeZone::get(time_zone).unwrap_or(TimeZone::UTC);
    let micros = i64::try_from(micros).unwrap_or(i64::MAX);
    let date = Timestamp::from_microsecond(micros).unwrap_or(Timestamp::MAX).to_zoned(zone).date();
    let part = |number: i16| u32::try_from(number).unwrap_or(0);
    BusinessDate::new(part(date.year()), part(date.month().into()), part(date.day().into()))
        .unwrap_or(BusinessDate::FIRST)
}

/// The start of a date in a zone, microseconds since the Unix epoch: [`date_at`] gives earlier
/// dates for earlier times. If a clock change skips midnight, the day starts at the first moment
/// after it.
#[must_use]
pub fn start_of_day(date: BusinessDate, time_zone: &str) -> u64 {
    let zone = TimeZone::get(time_zone).unwrap_or(TimeZone::UTC);
    let part = |number: u32| i16::try_from(number).unwrap_or(0);
    let small = |number: u32| i8::try_from(number).unwrap_or(0);
    let number = date.number();
    let (year, month, day) = (number / 10_000, number / 100 % 100, number % 100);
    let midnight = Date::new(part(year), small(month), small(day))
        .and_then(|date| date.to_zoned(zone))
        .map(|midnight| midnight.timestamp().as_microsecond());
    // No day starts beyond the calendar's end.
    midnight.map_or(u64::MAX, |micros| u64::try_from(micros).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn midnight_is_the_zones_own() {
        for (micros, zone, date) in [
            (0, "UTC", "1970-01-01"),
            (0, "America/New_York", "1970-01-01"),
            (1_764_169_199_999_999, "Asia/Seoul", "2025-11-26"),
            (1_764_169_200_000_000, "Asia/Seoul", "2025-11-27"),
            (1_764_169_200_000_000, "UTC", "2025-11-26"),
            (1_764_169_200_000_000, "Nowhere/At_All", "2025-11-26"),
            (u64::MAX, "UTC", "9999-12-30"),
        ] {
            assert_eq!(date_at(micros, zone).to_string(), date, "{micros} in {zone}");
        }
    }

    #[test]
    fn a_date_begins_when_the_clock_shows_it_first() {
        let zones = ["UTC", "Asia/Seoul", "America/New_York", "America/Sao_Paulo", "Asia/Beirut"];
        let mut date = BusinessDate::parse("2016-01-01").unwrap();
        let end = BusinessDate::parse("2018-12-31").unwrap();
        while date < end {
            for zone in zones {
                let begins = start_of_day(date, zone);
                assert_eq!(date_at(begins, zone), date, "{date} in {zone}");
                assert!(date_at(begins - 1, zone) < date, "{date} in {zone}");
            }
            date = date.next();
        }
        assert_eq!(start_of_day(BusinessDate::FIRST, "Asia/Seoul"), 0, "before the epoch");
    }
}
