//! Movements and their reversals, kept forever: a movement is reversed once.

use evenkeel_wire::id::CommandId;

use crate::{
    containers::{
        mix::{ROOTS, fold, halves},
        sorted::{SortedTable, TableValue},
    },
    fault::LedgerFault,
};

/// The reversals, by the ids of their movements.
pub(crate) type Reversals = SortedTable<ReversedBy>;

/// The reversal of a movement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReversedBy(CommandId);

impl Reversals {
    /// The reversal of a movement.
    pub(crate) fn reversed_by(&self, movement: CommandId) -> Option<CommandId> {
        self.get(movement.number()).map(|by| by.0)
    }

    /// Records the reversal of a movement.
    ///
    /// # Errors
    /// When it was reversed before: the rule that allowed it is wrong.
    pub(crate) fn add(&mut self, movement: CommandId, by: CommandId) -> Result<(), LedgerFault> {
        if let Some(first) = self.reversed_by(movement) {
            return Err(LedgerFault::new(format!(
                "movement {movement} was reversed by {first}, {by} can't reverse it again"
            )));
        }
        self.set(movement.number(), Some(ReversedBy(by)));
        Ok(())
    }

    /// Undoes an [`Self::add`].
    pub(crate) fn remove_reversal(&mut self, movement: CommandId) {
        self.set(movement.number(), None);
    }
}

impl TableValue for ReversedBy {
    fn digest(&self) -> u64 {
        let (low, high) = halves(self.0.number());
        fold(low ^ ROOTS[6], high ^ ROOTS[7])
    }

    fn encode(&self) -> Vec<u8> {
        self.0.number().to_le_bytes().to_vec()
    }

    fn decode(key: u128, bytes: &[u8]) -> Result<Self, String> {
        CommandId::new(key).map_err(|error| format!("its id is {error}"))?;
        let by = <[u8; 16]>::try_from(bytes).map_err(|_| "an id is 16 bytes")?;
        let by = CommandId::new(u128::from_le_bytes(by));
        Ok(Self(by.map_err(|error| format!("its reversal's id is {error}"))?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u128) -> CommandId {
        CommandId::from_parts(1_700_000_000_000, number)
    }

    #[test]
    fn a_movement_is_reversed_once() {
        let mut reversals = Reversals::default();
        let empty = reversals.digest();
        assert_eq!(reversals.reversed_by(id(1)), None);
        reversals.add(id(1), id(2)).unwrap();
        let what = reversals.add(id(1), id(3)).unwrap_err().to_string();
        assert!(what.contains(&id(2).to_string()), "{what}");
        assert_eq!(reversals.reversed_by(id(1)), Some(id(2)));
        assert_ne!(reversals.digest(), empty);
        reversals.remove_reversal(id(1));
        assert_eq!((reversals.digest(), reversals.len()), (empty, 0));
    }

    #[test]
    fn movement_and_reversal_are_part_of_the_digest() {
        let digest = |movement, by| {
            let mut reversals = Reversals::default();
            reversals.add(id(movement), id(by)).unwrap();
            reversals.digest()
        };
        assert_eq!(digest(1, 2), digest(1, 2));
        assert_ne!(digest(1, 2), digest(2, 1));
        assert_ne!(digest(1, 2), digest(1, 3));
    }

    #[test]
    fn only_valid_reversals_are_loaded() {
        let mut reversals = Reversals::default();
        let by = ReversedBy(id(2)).encode();
        reversals.load(id(1).number(), &by).unwrap();
        assert_eq!(reversals.reversed_by(id(1)), Some(id(2)));
        for (key, value, wrong) in [
            (id(1).number(), by.clone(), "twice"),
            (7, by.clone(), "version 7"),
            (id(3).number(), by[1..].to_vec(), "16 bytes"),
            (id(3).number(), vec![], "16 bytes"),
            (id(3).number(), vec![0; 16], "its reversal's id"),
        ] {
            let what = reversals.load(key, &value).unwrap_err();
            assert!(what.contains(wrong), "{what}");
        }
    }
}
