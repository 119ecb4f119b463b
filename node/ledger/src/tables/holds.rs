//! Open holds, by id and by due time. Closed holds are found in the journal.

use std::collections::BTreeSet;

use evenkeel_wire::{
    codec,
    id::{AccountId, CommandId},
    limits::AMOUNT_MAX,
};

use super::reserved::Reserved;
use crate::containers::{
    mix::{ROOTS, fold, halves},
    sorted::{SortedTable, TableValue},
};

/// A hold that is neither captured nor released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenHold {
    /// The wallet that pays.
    pub debit: AccountId,
    /// The merchant that may be paid.
    pub credit: AccountId,
    /// The amount set aside, minor units.
    pub amount: u64,
    /// When it's due, microseconds since the Unix epoch.
    pub expires_at: u64,
}

/// All open holds.
#[derive(Debug, Default)]
pub(crate) struct Holds {
    /// The rows, for checkpoints and audits.
    pub(crate) table: SortedTable<OpenHold>,
    /// Due times with ids.
    due: BTreeSet<(u64, u128)>,
    reserved: Reserved,
}

impl Holds {
    pub(crate) fn get(&self, id: CommandId) -> Option<&OpenHold> {
        self.table.get(id.number())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u128, &OpenHold)> {
        self.table.iter()
    }

    pub(crate) fn digest(&self) -> u64 {
        self.table.digest()
    }

    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// The held amounts and incoming holds of all accounts, according to the open holds.
    pub(crate) fn reserved(&self) -> Reserved {
        self.reserved
    }

    /// Opens a hold, or closes it with `None`. Gives the row before: setting that again undoes the
    /// change without a trace.
    pub(crate) fn set(&mut self, id: CommandId, hold: Option<OpenHold>) -> Option<OpenHold> {
        let id = id.number();
        let before = self.table.set(id, hold);
        if let Some(before) = &before {
            self.due.remove(&(before.expires_at, id));
            self.reserved = self.reserved.minus(Reserved::of_hold(before));
        }
        if let Some(hold) = &hold {
            self.due.insert((hold.expires_at, id));
            self.reserved = self.reserved.plus(Reserved::of_hold(hold));
        }
        before
    }

    /// Loads a row of a checkpoint.
    pub(crate) fn load(&mut self, id: u128, bytes: &[u8]) -> Result<(), String> {
        self.table.load(id, bytes)?;
        if let Some(hold) = self.table.get(id) {
            self.due.insert((hold.expires_at, id));
            self.reserved = self.reserved.plus(Reserved::of_hold(hold));
        }
        Ok(())
    }

    /// See [`SortedTable::audit_next`].
    pub(crate) fn audit_next(&mut self, left: &mut usize) -> Option<bool> {
        let due = &self.due;
        let sound =
            self.table.audit_next(left, &mut |id, hold| due.contains(&(hold.expires_at, id)));
        sound.map(|sound| sound && due.len() == self.table.len())
    }

    /// The holds that are due at `now`, at most `max`, ordered by due time and id.
    pub(crate) fn due_holds(&self, now: u64, max: usize) -> Vec<CommandId> {
        let due = self.due.iter().take_while(|(expires_at, _)| *expires_at <= now).take(max);
        due.map(|(_, id)| CommandId::new(*id).expect("holds have command ids")).collect()
    }

    /// When the next hold is due.
    pub(crate) fn next_expiry(&self) -> Option<u64> {
        self.due.first().map(|(expires_at, _)| *expires_at)
    }
}

impl TableValue for OpenHold {
    fn digest(&self) -> u64 {
        let of = |account: AccountId, one: u64, other: u64| {
            let (low, high) = halves(account.number());
            fold(low ^ one, high ^ other)
        };
        let parties = fold(
            of(self.debit, ROOTS[0], ROOTS[1]),
            of(self.credit, ROOTS[2], ROOTS[3]) ^ ROOTS[4],
        );
        fold(parties ^ ROOTS[5], fold(self.amount ^ ROOTS[6], self.expires_at ^ ROOTS[7]))
    }

    fn encode(&self) -> Vec<u8> {
        codec::encode(&(self.debit, self.credit, self.amount, self.expires_at))
    }

    fn decode(key: u128, bytes: &[u8]) -> Result<Self, String> {
        CommandId::new(key).map_err(|error| format!("its id is {error}"))?;
        let (debit, credit, amount, expires_at) =
            codec::decode(bytes).map_err(|error| error.to_string())?;
        if !(1..=AMOUNT_MAX).contains(&amount) {
            return Err(format!("{amount} can't be held"));
        }
        Ok(Self { debit, credit, amount, expires_at })
    }
}
