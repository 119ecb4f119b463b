//! Business days: dates, and the marker that ends a day.

use std::{fmt, ops::Range};

use bincode::{Decode, Encode, de::Decoder, error::DecodeError};

/// A date of the business calendar, stored as the number `YYYYMMDD`, so that later dates are larger
/// numbers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode)]
pub struct BusinessDate(u32);

/// The text or number isn't a date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a date is written YYYY-MM-DD, from 1970-01-01 to 9999-12-31")]
pub struct DateError;

impl BusinessDate {
    /// The first day of the calendar: 1970-01-01.
    pub const FIRST: Self = Self(19_700_101);

    /// Creates a date from year, month and day of the Gregorian calendar.
    ///
    /// # Errors
    /// If there is no such day, or its year isn't between 1970 and 9999.
    pub fn new(year: u32, month: u32, day: u32) -> Result<Self, DateError> {
        let leap =
            year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let days = match month {
            1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
            4 | 6 | 9 | 11 => 30,
            2 if leap => 29,
            2 => 28,
            _ => return Err(DateError),
        };
        if !(1970..=9999).contains(&year) || !(1..=days).contains(&day) {
            return Err(DateError);
        }
        Ok(Self(year * 10_000 + month * 100 + day))
    }

    /// Creates a date from the number `YYYYMMDD`.
    ///
    /// # Errors
    /// See [`Self::new`].
    pub fn from_number(number: u32) -> Result<Self, DateError> {
        Self::new(number / 10_000, number / 100 % 100, number % 100)
    }

    /// Parses `YYYY-MM-DD`.
    ///
    /// # Errors
    /// If the text has another form, or there is no such day.
    pub fn parse(text: &str) -> Result<Self, DateError> {
        let bytes = text.as_bytes();
        let shaped = bytes.len() == 10
            && bytes.iter().enumerate().all(|(at, byte)| match at {
                4 | 7 => *byte == b'-',
                _ => byte.is_ascii_digit(),
            });
        if !shaped {
            return Err(DateError);
        }
        let number =
            |range: Range<usize>| text.get(range).and_then(|digits| digits.parse::<u32>().ok());
        let (year, month, day) = (number(0..4), number(5..7), number(8..10));
        Self::new(year.ok_or(DateError)?, month.ok_or(DateError)?, day.ok_or(DateError)?)
    }

    /// The number `YYYYMMDD`.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }

    /// The next day. The calendar ends with 9999-12-31, whose next day is itself.
    #[must_use]
    pub fn next(self) -> Self {
        let (year, month, day) = (self.0 / 10_000, self.0 / 100 % 100, self.0 % 100);
        Self::new(year, month, day + 1)
            .or_else(|_| Self::new(year, month + 1, 1))
            .or_else(|_| Self::new(year + 1, 1, 1))
            .unwrap_or(self)
    }
}

bincode::impl_borrow_decode!(BusinessDate);

impl<C> Decode<C> for BusinessDate {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let number = u32::decode(decoder)?;
        Self::from_number(number)
            .map_err(|_| DecodeError::OtherString(format!("{number} isn't a date (YYYYMMDD)")))
    }
}

impl fmt::Display for BusinessDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.0 / 10_000, self.0 / 100 % 100, self.0 % 100)
    }
}

impl fmt::Debug for BusinessDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Ends a business day: later entries in the journal count for the next one. The primary creates
/// it, alone in an entry; clients' doors reject it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct CloseDay {
    /// The day that ends. It must be the ledger's business date, else the command is rejected with
    /// `day_not_open`.
    pub closed: BusinessDate,
    /// The day that begins, later than `closed`. Days in between had no entries and are closed too.
    pub next: BusinessDate,
}

#[cfg(test)]
mod tests {
    use crate::day::*;

    #[test]
    fn dates_are_real_days() {
        for text in ["2024-02-29", "2000-02-29", "2026-12-31", "1970-01-01", "9999-12-31"] {
            assert_eq!(BusinessDate::parse(text).unwrap().to_string(), text);
        }
        for text in [
            "2023-02-29",
            "2100-02-29",
            "2026-04-31",
            "2026-13-01",
            "2026-00-10",
            "2026-1-01",
            "1969-12-31",
            "2026-11-26 ",
            "+026-11-26",
            "",
            "2026/11/26",
            "２０２６-11-26",
        ] {
            assert_eq!(BusinessDate::parse(text), Err(DateError), "{text}");
        }
    }

    #[test]
    fn days_follow_each_other() {
        for (day, next) in [
            ("2026-11-26", "2026-11-27"),
            ("2026-11-30", "2026-12-01"),
            ("2026-12-31", "2027-01-01"),
            ("2024-02-28", "2024-02-29"),
            ("2023-02-28", "2023-03-01"),
        ] {
            assert_eq!(BusinessDate::parse(day).unwrap().next().to_string(), next);
        }
    }
}
