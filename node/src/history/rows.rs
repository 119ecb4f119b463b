//! The rows of a sealed segment's index: what they keep of a command, and how they're read back.
//! They never hold the command itself.

use evenkeel_storage::journal::{
    Part,
    index::{CommandRow, LocatedCommand, OutcomeRow},
};
use evenkeel_wire::{
    command::Command,
    id::{AccountId, CommandId},
    outcome::{Outcome, Rejection},
};

use evenkeel_ledger::DecidedOutcome;

/// A row's flag: the outcome is a replay of the first answer to the command's id.
const REPLAYED: u8 = 1;

/// The id under which a hold's closing command is found: the hold's with version 8 instead of 7,
/// which no command has.
pub(crate) fn resolution_id(hold: CommandId) -> u128 {
    (hold.number() & !(0xf << 76)) | (8 << 76)
}

/// A command's row: only first answers are found by id, only committed movements by account.
/// `parties`: the payer and payee of a command that moved money.
/// was paid, for a command that moved money.
pub fn command_row(
    command: &Command,
    decided: &DecidedOutcome,
    parties: Option<(AccountId, AccountId)>,
    part: Part,
) -> CommandRow {
    let own_id = command.id().filter(|_| decided.is_recorded()).map_or(0, CommandId::number);
    let closed = closed_hold(command).filter(|_| is_new_and_committed(decided));
    CommandRow {
        id: own_id,
        alias_id: closed.map_or(0, resolution_id),
        debit: parties.map(|(debit, _)| debit.number()),
        credit: parties.map(|(_, credit)| credit.number()),
        outcome: outcome_to_row(decided),
        part,
    }
}

/// Whether the command itself changed something: it isn't a replay, and was neither rejected nor
/// ignored.
pub(crate) fn is_new_and_committed(decided: &DecidedOutcome) -> bool {
    !decided.replayed
        && decided.outcome.rejection.is_none()
        && decided.outcome.index != Outcome::NO_INDEX
}

fn closed_hold(command: &Command) -> Option<CommandId> {
    match command {
        Command::Capture(capture) => Some(capture.hold),
        Command::Void(void) => Some(void.hold),
        Command::ExpireHold(expire) => Some(expire.hold),
        _ => None,
    }
}

fn outcome_to_row(decided: &DecidedOutcome) -> OutcomeRow {
    let Outcome { index, rejection, amount, debit_after, credit_after } = decided.outcome;
    OutcomeRow {
        code: rejection.map_or(0, Rejection::byte),
        flags: if decided.replayed { REPLAYED } else { 0 },
        index,
        amount,
        debit_after,
        credit_after,
    }
}

/// The outcome of a row's command.
pub(crate) fn outcome_from_row(row: &OutcomeRow) -> DecidedOutcome {
    let rejection = if row.code == 0 {
        None
    } else {
        let known = Rejection::from_byte(row.code);
        Some(known.expect("an index is checksummed, and made by this program or an older one"))
    };
    let OutcomeRow { index, amount, debit_after, credit_after, .. } = *row;
    let outcome = Outcome { index, rejection, amount, debit_after, credit_after };
    DecidedOutcome { outcome, replayed: row.flags & REPLAYED != 0 }
}

/// Position, command number and outcome.
pub(crate) fn located_outcome(place: &LocatedCommand) -> (u64, u16, Outcome) {
    (place.position, place.command, outcome_from_row(&place.outcome).outcome)
}

#[cfg(test)]
mod tests {
    use evenkeel_wire::hold::{Capture, ExpireHold, Void};

    use super::*;

    fn id(number: u128) -> CommandId {
        CommandId::from_parts(1_700_000_000_000, number)
    }

    fn outcome(index: u16, rejection: Option<Rejection>) -> Outcome {
        Outcome { index, rejection, amount: 7, debit_after: -5, credit_after: i64::MAX }
    }

    #[test]
    fn an_outcome_comes_back_as_it_was() {
        for rejection in [None].into_iter().chain(Rejection::ALL.iter().copied().map(Some)) {
            for (index, replayed) in [(0, false), (8_191, true), (Outcome::NO_INDEX, false)] {
                let before = DecidedOutcome { outcome: outcome(index, rejection), replayed };
                assert_eq!(outcome_from_row(&outcome_to_row(&before)), before);
            }
        }
    }

    /// No command's own id can equal it, whatever its random bits are.
    #[test]
    fn the_id_of_a_holds_end_differs_from_its_own_in_the_version_alone() {
        for hold in [id(0), id(u128::MAX), id(12_345)] {
            let end = resolution_id(hold);
            assert_eq!((end >> 76) & 0xf, 8);
            assert_eq!(end ^ hold.number(), 0xf << 76);
            assert!(CommandId::new(end).is_err());
        }
    }

    #[test]
    fn only_first_answers_are_found_by_id_and_only_what_closed_a_hold_by_its_end() {
        let (hold, end) = (id(9), resolution_id(id(9)));
        let capture = Command::Capture(Capture { id: id(1), hold, amount: None });
        let void = Command::Void(Void { id: id(1), hold });
        let expire = Command::ExpireHold(ExpireHold { hold });
        let own = id(1).number();
        let committed = (outcome(3, None), false);
        let rejected = (outcome(3, Some(Rejection::HoldNotOpen)), false);
        for (command, (outcome, replayed), expected) in [
            (&capture, committed, (own, end)),
            (&void, committed, (own, end)),
            (&expire, committed, (0, end)),
            (&expire, (outcome(Outcome::NO_INDEX, None), false), (0, 0)),
            (&capture, rejected, (own, 0)),
            (&capture, (outcome(3, Some(Rejection::IdExpired)), false), (0, 0)),
            (&capture, (outcome(3, None), true), (0, 0)),
            (&void, (outcome(Outcome::NO_INDEX, Some(Rejection::BatchFailed)), false), (0, 0)),
        ] {
            let decided = DecidedOutcome { outcome, replayed };
            let row = command_row(command, &decided, None, Part::default());
            assert_eq!((row.id, row.alias_id), expected, "{command:?} {decided:?}");
        }
    }
}
