//! What an entry's commands need from outside of memory, so that it can be read before the entry is
//! applied: commands whose ids are known, ids that memory may have forgotten, and the targets of
//! refunds, reversals, captures and voids.
//!
//! It judges nothing and changes nothing. It names all that apply will ask for, and may name more.

use evenkeel_wire::{
    command::{Command, SkimmedCommand, SkimmedCommands},
    entry::EntryBody,
    id::CommandId,
};

use crate::{
    containers::ids::IdHash,
    journal::NeededLookup,
    tables::{Tables, accounts::row_index},
};

/// How many ids are hashed before the first is searched, so that the cache misses overlap.
const AHEAD_IDS: usize = 16;

/// An id to search in memory.
struct SkimmedId {
    id: CommandId,
    hash: IdHash,
    is_payment: bool,
}

/// Collects the lookups of one entry.
struct LookupCollector<'a> {
    tables: &'a Tables,
    ahead: Vec<SkimmedId>,
    /// Targets of captures, voids and expiries that are open before the entry.
    open_holds: Vec<CommandId>,
    /// A refund's payment isn't known: it may be a capture of this entry.
    may_refund_own_capture: bool,
    needed: &'a mut Vec<NeededLookup>,
}

/// Appends the lookups that the entry with this body needs. What can't be read is left out: apply
/// names the fault.
pub(crate) fn find_lookups(tables: &Tables, body: &[u8], needed: &mut Vec<NeededLookup>) {
    let Ok(mut body) = EntryBody::open(body) else { return };
    let ahead = Vec::with_capacity(AHEAD_IDS);
    let (open_holds, may_refund_own_capture) = (Vec::new(), false);
    let mut collector =
        LookupCollector { tables, ahead, open_holds, may_refund_own_capture, needed };
    while let Ok(Some(group)) = body.next_group() {
        for next in SkimmedCommands::new(group.bytes) {
            match next {
                Ok((SkimmedCommand::Transfer(id), _)) => collector.skim_id(id, false),
                Ok((SkimmedCommand::Other(command), _)) => collector.skim_other(&command),
                Err(_) => break,
            }
        }
    }
    collector.finish();
}

impl LookupCollector<'_> {
    #[inline]
    fn skim_id(&mut self, id: CommandId, is_payment: bool) {
        let recent = &self.tables.recent;
        if !recent.may_be_known(id) {
            self.may_refund_own_capture |= is_payment;
            return;
        }
        let hash = self.tables.seed.hash(id.number());
        recent.prefetch(id, hash);
        self.ahead.push(SkimmedId { id, hash, is_payment });
        if self.ahead.len() == AHEAD_IDS {
            self.search_ahead();
        }
    }

    fn search_ahead(&mut self) {
        for SkimmedId { id, hash, is_payment } in self.ahead.drain(..) {
            match self.tables.recent.find(id, hash) {
                Some((position, command, _)) => {
                    self.needed.push(NeededLookup::Command { position, command, is_payment });
                }
                None => {
                    if self.tables.recent.may_be_forgotten(id) {
                        self.needed.push(NeededLookup::Id { id, is_payment });
                    }
                    // Also an id that may be forgotten may be new.
                    self.may_refund_own_capture |= is_payment;
                }
            }
        }
    }

    #[inline(never)]
    fn skim_other(&mut self, command: &Command) {
        if let Some(id) = command.id() {
            self.skim_id(id, false);
        }
        match command {
            Command::Refund(refund) => self.skim_id(refund.payment, true),
            Command::Reversal(reversal) => self.skim_id(reversal.transfer, false),
            Command::Capture(capture) => self.skim_hold(capture.hold),
            Command::Void(void) => self.skim_hold(void.hold),
            Command::ExpireHold(expire) if self.tables.holds.get(expire.hold).is_some() => {
                self.open_holds.push(expire.hold);
            }
            Command::OpenAccount(open) => {
                let accounts = &self.tables.accounts;
                let opened =
                    accounts.find(open.id).map(|slot| accounts.opened[row_index(slot)].position);
                self.need_stamp(opened);
            }
            Command::CreateKey(create) => {
                let created = self.tables.keys.find_row(&create.hash);
                self.need_stamp(created.map(|(_, key)| key.position));
            }
            _ => {}
        }
    }

    /// An open hold is in memory. Its command is asked for if another command of this entry closes
    /// it first, or refunds its capture.
    fn skim_hold(&mut self, hold: CommandId) {
        match self.tables.holds.get(hold) {
            Some(_) => self.open_holds.push(hold),
            None => self.skim_id(hold, false),
        }
    }

    /// The stamp of the entry in which a command without an id was committed.
    fn need_stamp(&mut self, position: Option<u64>) {
        let lookup = |position| NeededLookup::Command { position, command: 0, is_payment: false };
        self.needed.extend(position.map(lookup));
    }

    fn finish(mut self) {
        self.search_ahead();
        let mut holds = std::mem::take(&mut self.open_holds);
        holds.sort_unstable_by_key(|hold| hold.number());
        let all = self.may_refund_own_capture;
        for equal in holds.chunk_by(|a, b| a == b).filter(|equal| all || equal.len() > 1) {
            self.skim_id(equal[0], false);
        }
        self.search_ahead();
    }
}
