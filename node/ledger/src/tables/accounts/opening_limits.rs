//! The limits that accounts were opened with. A repeated opening must name the same, also after
//! they changed.
//!
//! Most openings name none, and the others share a few: each set of limits is kept once, and
//! accounts carry its number.

use std::collections::BTreeMap;

use evenkeel_wire::{account::Limits, codec};

/// Limits by number; 0 stands for none.
#[derive(Debug, Default)]
pub(crate) struct OpeningLimits {
    numbers: BTreeMap<Vec<u8>, u32>,
    /// The limits from number 1.
    all: Vec<Limits>,
}

impl OpeningLimits {
    /// The number of these limits, a new one for new limits.
    pub(crate) fn intern_limits(&mut self, limits: &Limits) -> u32 {
        if *limits == Limits::default() {
            return 0;
        }
        let next = u32::try_from(self.all.len()).ok().and_then(|count| count.checked_add(1));
        let next = next.expect("at most one for each account");
        let number = *self.numbers.entry(codec::encode(limits)).or_insert(next);
        if number == next {
            self.all.push(*limits);
        }
        number
    }

    /// The limits with this number.
    pub(crate) fn get(&self, number: u32) -> Option<Limits> {
        match usize::try_from(number).ok()?.checked_sub(1) {
            None => Some(Limits::default()),
            Some(at) => self.all.get(at).copied(),
        }
    }
}
