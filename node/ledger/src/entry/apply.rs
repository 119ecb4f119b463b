//! One entry: its commands decoded in groups, each judged by itself, in order; then the sums.
//!
//! The memory that a group of commands needs is prefetched before the first of them is judged, so
//! that the cache misses overlap.

use evenkeel_wire::{
    command::Command,
    id::{AccountId, CommandId, KeyId},
    outcome::{Answer, Outcome},
};

use super::{
    atomic::AtomicGroup,
    reader::{EntryReader, Grouping, ReadCommand},
};
use crate::{
    containers::ids::IdHash,
    fault::LedgerFault,
    journal::{EntryHead, JournalLookup},
    rules::verdict::{Stop, Verdict, committed_outcome, rejected_outcome},
    tables::{Tables, genesis::IdWindow, recent::DecidedOutcome},
};

/// How many commands are decoded ahead.
const AHEAD_COMMANDS: usize = 16;

/// The numbers of an entry's commands, by result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AppliedCounts {
    /// All of them.
    pub commands: u32,
    /// Those that changed something.
    pub committed: u32,
    /// Those that changed nothing.
    pub rejected: u32,
    /// Those that got an earlier answer again.
    pub replayed: u32,
}

/// A decoded command with the hashes of its ids.
pub(crate) struct PreparedCommand<'b> {
    pub(crate) command: Command,
    pub(crate) bytes: &'b [u8],
    /// The caller's key.
    pub(crate) key: KeyId,
    pub(crate) grouping: Grouping,
    pub(crate) hash: IdHash,
    pub(crate) debit_hash: IdHash,
    pub(crate) credit_hash: IdHash,
}

/// An entry that is being applied.
pub(crate) struct EntryApplier<'t, 'b> {
    pub(crate) tables: &'t mut Tables,
    pub(crate) journal: &'t mut dyn JournalLookup,
    pub(crate) answers: &'t mut Vec<Answer>,
    pub(crate) head: EntryHead,
    pub(crate) window: Option<IdWindow>,
    /// The bytes of the commands so far, the one under way included.
    pub(crate) commands: Vec<&'b [u8]>,
    /// The index that the next outcome gets.
    pub(crate) next_index: u16,
    pub(crate) counts: AppliedCounts,
    /// The atomic group under way.
    pub(crate) group: Option<AtomicGroup>,
    /// The entry has a single command.
    pub(crate) is_of_one_command: bool,
}

/// Applies one entry; appends one answer for each command.
///
/// # Errors
/// When an invariant is broken. The entry may be half applied then.
pub(crate) fn apply_entry(
    tables: &mut Tables,
    head: &EntryHead,
    body: &[u8],
    journal: &mut dyn JournalLookup,
    answers: &mut Vec<Answer>,
) -> Result<AppliedCounts, LedgerFault> {
    advance_to(tables, head)?;
    let reader = EntryReader::open(head.position, body)?;
    let window = tables.genesis().map(|genesis| IdWindow::at_time(tables.time, genesis));
    tables.recent.begin_entry(head);
    let applier = EntryApplier {
        tables,
        journal,
        answers,
        head: *head,
        window,
        commands: Vec::new(),
        next_index: 0,
        counts: AppliedCounts::default(),
        group: None,
        is_of_one_command: false,
    };
    applier.apply(reader)
}

/// Advances to the next entry.
///
/// # Errors
/// When it isn't the next one.
pub(crate) fn advance_to(tables: &mut Tables, head: &EntryHead) -> Result<(), LedgerFault> {
    let expected = tables.last.map_or(0, |last| last.position.saturating_add(1));
    if head.position != expected {
        return Err(LedgerFault::new(format!(
            "position {}: the ledger expected position {expected}",
            head.position
        )));
    }
    tables.last = Some(*head);
    tables.time = tables.time.max(head.time);
    Ok(())
}

impl<'b> EntryApplier<'_, 'b> {
    fn apply(mut self, mut reader: EntryReader<'b>) -> Result<AppliedCounts, LedgerFault> {
        let mut ahead = Vec::with_capacity(AHEAD_COMMANDS);
        loop {
            while ahead.len() < AHEAD_COMMANDS
                && let Some(read) = reader.next_command()?
            {
                ahead.push(prepare_command(self.tables, read));
            }
            if ahead.is_empty() {
                break;
            }
            self.is_of_one_command = self.commands.is_empty() && ahead.len() == 1;
            prefetch_rows(self.tables, &ahead);
            for prepared in ahead.drain(..) {
                self.decide_command(&prepared)?;
            }
        }
        check_sums(self.tables, self.head.position)?;
        Ok(self.counts)
    }

    /// Judges and applies one command, and records the answer.
    #[inline]
    fn decide_command(&mut self, prepared: &PreparedCommand<'b>) -> Result<(), LedgerFault> {
        if let Grouping::Atomic { first, last } = prepared.grouping {
            return self.decide_in_group(prepared, first, last);
        }
        self.commands.push(prepared.bytes);
        let verdict = self.execute_command(prepared);
        self.record_answer(prepared, verdict)
    }

    /// Records the answer to a command; a fault is no answer.
    #[inline]
    pub(crate) fn record_answer(
        &mut self,
        prepared: &PreparedCommand<'_>,
        verdict: Verdict,
    ) -> Result<(), LedgerFault> {
        let outcome = match verdict {
            Ok(committed) => {
                count(&mut self.counts.committed);
                committed_outcome(self.next_index, committed)
            }
            Err(Stop::Rejected(rejection)) => {
                count(&mut self.counts.rejected);
                rejected_outcome(self.next_index, rejection)
            }
            Err(stop) => return self.record_no_outcome(stop),
        };
        count(&mut self.counts.commands);
        self.next_index = self.next_index.wrapping_add(1);
        let own_id = prepared.command.id().map(|id| (id, prepared.hash));
        self.tables.recent.keep_outcome(own_id, DecidedOutcome { outcome, replayed: false });
        self.tables.outcomes.add(subject(&prepared.command), self.head.position, &outcome);
        self.answers.push(Answer { outcome, first: None });
        Ok(())
    }

    /// Records the answer to a command that gives no new outcome.
    #[inline(never)]
    pub(super) fn record_no_outcome(&mut self, stop: Stop) -> Result<(), LedgerFault> {
        let (answer, replayed) = match stop {
            Stop::Fault(fault) => return Err(fault),
            Stop::Replayed(answer) => {
                count(&mut self.counts.replayed);
                (answer, true)
            }
            Stop::Ignored => {
                let index = Outcome::NO_INDEX;
                let rejection = None;
                let outcome =
                    Outcome { index, rejection, amount: 0, debit_after: 0, credit_after: 0 };
                (Answer { outcome, first: None }, false)
            }
            Stop::Rejected(rejection) => {
                count(&mut self.counts.rejected);
                let outcome = rejected_outcome(Outcome::NO_INDEX, rejection);
                (Answer { outcome, first: None }, false)
            }
        };
        count(&mut self.counts.commands);
        let decided = DecidedOutcome { outcome: answer.outcome, replayed };
        self.tables.recent.keep_outcome(None, decided);
        self.answers.push(answer);
        Ok(())
    }
}

/// Hashes a command's ids and prefetches the memory where their lookups begin.
#[inline]
fn prepare_command<'b>(tables: &Tables, read: ReadCommand<'b>) -> PreparedCommand<'b> {
    let ReadCommand { command, bytes, key, grouping } = read;
    let mut hashes = [IdHash::default(); 3];
    if let Some(id) = command.id() {
        hashes[0] = tables.seed.hash(id.number());
        tables.recent.prefetch(id, hashes[0]);
    }
    if let Some((debit, credit)) = parties(&command) {
        hashes[1] = tables.seed.hash(debit.number());
        hashes[2] = tables.seed.hash(credit.number());
        tables.accounts.prefetch_find(hashes[1]);
        tables.accounts.prefetch_find(hashes[2]);
    }
    let [hash, debit_hash, credit_hash] = hashes;
    PreparedCommand { command, bytes, key, grouping, hash, debit_hash, credit_hash }
}

/// Prefetches the rows of the accounts of these commands.
fn prefetch_rows(tables: &Tables, ahead: &[PreparedCommand<'_>]) {
    for prepared in ahead {
        if parties(&prepared.command).is_some() {
            tables.accounts.prefetch_row(prepared.debit_hash);
            tables.accounts.prefetch_row(prepared.credit_hash);
        }
    }
}

/// No entry creates or destroys money, and accounts and open holds agree about held amounts.
fn check_sums(tables: &mut Tables, position: u64) -> Result<(), LedgerFault> {
    if tables.accounts.reserved != tables.holds.reserved() {
        return Err(LedgerFault::new(format!(
            "position {position}: accounts and open holds disagree about the held amounts"
        )));
    }
    let Some((asset, sum)) = tables.accounts.totals.find_leak() else { return Ok(()) };
    let asset = tables.genesis().map_or("?", |genesis| genesis.assets[asset].name());
    Err(LedgerFault::new(format!("position {position}: {asset} sums to {sum} instead of 0")))
}

/// The accounts that a command names, if their rows are worth a prefetch.
#[inline]
fn parties(command: &Command) -> Option<(AccountId, AccountId)> {
    match command {
        Command::Transfer(transfer) => Some((transfer.debit, transfer.credit)),
        Command::Hold(hold) => Some((hold.debit, hold.credit)),
        _ => None,
    }
}

/// The subject of an outcome, for the digest.
#[inline]
fn subject(command: &Command) -> u128 {
    match command {
        Command::Transfer(transfer) => transfer.id.number(),
        Command::OpenAccount(open) => open.id.number(),
        Command::ExpireHold(expire) => expire.hold.number(),
        Command::CloseDay(close) => close.closed.number().into(),
        Command::CreateKey(create) => create.account.map_or(0, AccountId::number),
        Command::RevokeKey(revoke) => revoke.key.0.into(),
        other => other.id().map_or(0, CommandId::number),
    }
}

#[inline]
fn count(counter: &mut u32) {
    *counter = counter.wrapping_add(1);
}
