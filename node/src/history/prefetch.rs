//! Reads what an entry needs from files before it's applied: many lookups at once, in the order of
//! their ids and positions, so that each block of an index is read once.
//!
//! It never fails: what can't be read is left out, and apply asks again and names the fault.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use evenkeel_storage::journal::Part;
use evenkeel_wire::{
    codec,
    command::Command,
    id::{AccountId, CommandId},
    outcome::{Answer, Outcome},
};

use super::{HistoryError, HistoryReader, rows::located_outcome};
use evenkeel_ledger::{NeededLookup, RecordedCommand};

/// The lookups of one entry that were made. They hold while no other entry is applied.
#[derive(Debug, Default)]
pub struct ResolvedLookups {
    /// First answers from the indexes of sealed segments; `None`: no sealed segment has the id.
    pub(crate) ids: HashMap<CommandId, Option<(u64, u16, Outcome)>>,
    /// Recorded commands by position and number.
    pub(crate) commands: HashMap<(u64, u16), RecordedCommand>,
}

/// The payer and the payee of a hold or a movement.
pub type FoundParties = Option<(AccountId, AccountId)>;

/// Commands to read: by position and number, where they are if that's known, and whether they are
/// the payments of refunds.
type Places = BTreeMap<(u64, u16), (Option<Part>, bool)>;

impl HistoryReader<'_> {
    /// Makes the lookups of an entry.
    pub fn resolve_lookups(&self, needed: &[NeededLookup]) -> ResolvedLookups {
        let mut resolved = ResolvedLookups::default();
        let (mut ids, mut places) = (BTreeMap::new(), Places::new());
        for lookup in needed {
            match *lookup {
                NeededLookup::Id { id, is_payment } => {
                    *ids.entry(id).or_insert(false) |= is_payment;
                }
                NeededLookup::Command { position, command, is_payment } => {
                    places.entry((position, command)).or_insert((None, false)).1 |= is_payment;
                }
            }
        }
        self.resolve_ids(&ids, &mut places, &mut resolved);
        let holds = self.resolve_commands(&places, &mut resolved);
        // The holds of captures that are paid back: there's never a third step.
        let (mut sealed, mut places) = (BTreeMap::new(), Places::new());
        for hold in holds {
            match self.ledger.first_answer(hold) {
                Some((position, number, _)) => {
                    places.insert((position, number), (None, false));
                }
                None => {
                    sealed.insert(hold, false);
                }
            }
        }
        self.resolve_ids(&sealed, &mut places, &mut resolved);
        self.resolve_commands(&places, &mut resolved);
        resolved
    }

    /// For each of these ids in sealed segments: the first answer, if it was given to a command
    /// with the same bytes.
    ///
    /// # Errors
    /// When an index is being rebuilt, or a command can't be read.
    pub fn find_repeats(
        &self,
        asked: &[(CommandId, &[u8])],
    ) -> Result<Vec<Option<Answer>>, HistoryError> {
        let ids: Vec<u128> = asked.iter().map(|(id, _)| id.number()).collect();
        let found = self.history.indexes.find_many(&ids);
        let found = found.into_iter().collect::<Result<Vec<_>, _>>()?;
        let mut in_order: Vec<_> = found
            .iter()
            .enumerate()
            .filter_map(|(at, found)| Some((found.as_ref()?, at)))
            .collect();
        in_order.sort_unstable_by_key(|(found, _)| (found.position, found.command));
        let mut answers = vec![None; asked.len()];
        let mut reader = self.reader.borrow_mut();
        for (found, at) in in_order {
            let (position, number, outcome) = located_outcome(found);
            let (stamp, bytes) = reader.read_command_at(position, number, &found.part)?;
            if bytes == asked[at].1 {
                answers[at] = Some(Answer { outcome, first: Some(stamp) });
            }
        }
        Ok(answers)
    }

    /// The payer and the payee of each of these holds or movements (`is_hold`), which merchants'
    /// commands name; the inner `None`: there's no such target. The outer `None`: it can't be told
    /// this way, so it must be looked up by itself.
    pub fn find_target_parties(&self, targets: &[(CommandId, bool)]) -> Vec<Option<FoundParties>> {
        let recent: Vec<_> = targets.iter().map(|(id, _)| self.ledger.first_answer(*id)).collect();
        let needed = targets.iter().zip(&recent).map(|((id, is_hold), recent)| {
            let is_payment = !is_hold;
            match *recent {
                Some((position, command, _)) => {
                    NeededLookup::Command { position, command, is_payment }
                }
                None => NeededLookup::Id { id: *id, is_payment },
            }
        });
        let resolved = self.resolve_lookups(&needed.collect::<Vec<_>>());
        let parties = targets.iter().zip(recent).map(|((id, is_hold), recent)| {
            let found = match recent {
                Some(found) => found,
                None => match resolved.ids.get(id)? {
                    Some(found) => *found,
                    // It may have been decided, or have left memory, since the first look.
                    None if self.ledger.first_answer(*id).is_some() => return None,
                    None => return Some(None),
                },
            };
            self.parties_of(&resolved, found, *is_hold)
        });
        parties.collect()
    }

    fn parties_of(
        &self,
        resolved: &ResolvedLookups,
        (position, number, outcome): (u64, u16, Outcome),
        is_hold: bool,
    ) -> Option<FoundParties> {
        if outcome.rejection.is_some() {
            return Some(None);
        }
        let decode = |place| {
            let recorded = resolved.commands.get(&place)?;
            codec::decode::<Command>(&recorded.bytes).ok()
        };
        match decode((position, number))? {
            Command::Hold(hold) if is_hold => Some(Some((hold.debit, hold.credit))),
            _ if is_hold => Some(None),
            Command::Transfer(transfer) => Some(Some((transfer.debit, transfer.credit))),
            Command::Capture(capture) => {
                let hold = resolved.ids.get(&capture.hold).copied().flatten();
                let (position, number, _) = self.ledger.first_answer(capture.hold).or(hold)?;
                match decode((position, number))? {
                    Command::Hold(hold) => Some(Some((hold.debit, hold.credit))),
                    _ => None,
                }
            }
            // Rare targets, which no merchant may pay back.
            _ => None,
        }
    }

    /// Finds ids in the indexes, and adds the commands that have them to `places`.
    fn resolve_ids(
        &self,
        ids: &BTreeMap<CommandId, bool>,
        places: &mut Places,
        resolved: &mut ResolvedLookups,
    ) {
        let numbers: Vec<u128> = ids.keys().map(|id| id.number()).collect();
        let found = self.history.indexes.find_many(&numbers);
        for ((id, is_payment), found) in ids.iter().zip(found) {
            let Ok(found) = found else { continue };
            resolved.ids.insert(*id, found.as_ref().map(located_outcome));
            if let Some(found) = found {
                let place = places.entry((found.position, found.command)).or_insert((None, false));
                place.0 = Some(found.part);
                place.1 |= is_payment;
            }
        }
    }

    /// Reads commands, and returns the holds of those that are captures and are paid back.
    fn resolve_commands(
        &self,
        places: &Places,
        resolved: &mut ResolvedLookups,
    ) -> BTreeSet<CommandId> {
        let unlocated: Vec<(u64, u16)> = places
            .iter()
            .filter(|(_, (part, _))| part.is_none())
            .map(|(place, _)| *place)
            .collect();
        let located = self.history.indexes.commands(&unlocated);
        let parts: HashMap<(u64, u16), Part> = unlocated
            .iter()
            .zip(located)
            .filter_map(|(place, found)| Some((*place, found.ok()??.part)))
            .collect();
        let mut holds = BTreeSet::new();
        let mut reader = self.reader.borrow_mut();
        for (place, (part, is_payment)) in places {
            let (position, number) = *place;
            let read = match part.as_ref().or_else(|| parts.get(place)) {
                Some(part) => reader.read_command_at(position, number, part),
                None => reader.read_unsealed(position, number),
            };
            let Ok((stamp, bytes)) = read else { continue };
            if *is_payment && let Ok(Command::Capture(capture)) = codec::decode(&bytes) {
                holds.insert(capture.hold);
            }
            resolved.commands.insert(*place, RecordedCommand { stamp, bytes: bytes.into() });
        }
        holds
    }
}
