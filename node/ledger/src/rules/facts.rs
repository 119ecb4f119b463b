//! Facts about earlier commands: the payment of a refund, the movement of a reversal, a hold.
//!
//! A target never changes, so it's found by its id like any command: in memory while its entry is
//! recent, else in the journal. The accounts of a capture are those of its hold, which takes a
//! second lookup; there is never a third. Nothing is guessed: a failed lookup or a contradiction is
//! a fault.

use evenkeel_wire::{
    amount::Asset,
    command::Command,
    hold::Hold,
    id::{AccountId, CommandId},
    outcome::{Outcome, Rejection},
    transfer::{Transfer, TransferKind},
};

use super::verdict::Stop;
use crate::fault::LedgerFault;

/// Finds the committed command with an id, and its outcome; `None`: there is none.
pub(crate) type CommittedLookup<'a> =
    dyn FnMut(CommandId) -> Result<Option<(Command, Outcome)>, LedgerFault> + 'a;

/// A movement of money.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MovementFacts {
    pub(crate) kind: TransferKind,
    pub(crate) debit: AccountId,
    pub(crate) credit: AccountId,
    pub(crate) amount: u64,
    pub(crate) asset: Asset,
}

/// A payment, also by a capture.
pub(crate) fn find_payment(
    id: CommandId,
    committed: &mut CommittedLookup<'_>,
) -> Result<MovementFacts, Stop> {
    match committed(id)? {
        Some((Command::Transfer(transfer), _)) if transfer.kind == TransferKind::Payment => {
            Ok(MovementFacts::from_transfer(&transfer))
        }
        Some((Command::Capture(capture), outcome)) => {
            let Some(hold) = find_hold(capture.hold, committed)? else {
                let hold = capture.hold;
                return Err(capture_fault(id, &format!("its hold {hold} is missing")));
            };
            if outcome.amount == 0 || outcome.amount > hold.amount.0 {
                let (taken, held) = (outcome.amount, hold.amount);
                return Err(capture_fault(id, &format!("it took {taken} of a hold of {held}")));
            }
            Ok(MovementFacts {
                kind: TransferKind::Payment,
                debit: hold.debit,
                credit: hold.credit,
                amount: outcome.amount,
                asset: hold.asset,
            })
        }
        _ => Err(Rejection::PaymentNotFound.into()),
    }
}

/// A movement of a kind that can be reversed.
pub(crate) fn find_reversible(
    id: CommandId,
    committed: &mut CommittedLookup<'_>,
) -> Result<MovementFacts, Stop> {
    use TransferKind::{CashOut, Fee, Grant, TopUp};
    match committed(id)? {
        Some((Command::Transfer(transfer), _)) => match transfer.kind {
            TopUp | CashOut | Fee | Grant => Ok(MovementFacts::from_transfer(&transfer)),
            _ => Err(Rejection::ReversalNotAllowed.into()),
        },
        Some((Command::Capture(_) | Command::Refund(_) | Command::Reversal(_), _)) => {
            Err(Rejection::ReversalNotAllowed.into())
        }
        _ => Err(Rejection::TransferNotFound.into()),
    }
}

/// A hold that was placed, open or not.
pub(crate) fn find_hold(
    id: CommandId,
    committed: &mut CommittedLookup<'_>,
) -> Result<Option<Hold>, LedgerFault> {
    match committed(id)? {
        Some((Command::Hold(hold), _)) => Ok(Some(hold)),
        _ => Ok(None),
    }
}

fn capture_fault(id: CommandId, what: &str) -> Stop {
    LedgerFault::new(format!("capture {id}: {what}")).into()
}

impl MovementFacts {
    fn from_transfer(transfer: &Transfer) -> Self {
        let Transfer { kind, debit, credit, amount, asset, .. } = *transfer;
        Self { kind, debit, credit, amount: amount.0, asset }
    }
}

#[cfg(test)]
mod tests {
    use evenkeel_wire::{
        amount::Amount,
        hold::{Capture, Void},
        refund::Refund,
        reversal::Reversal,
        transfer::Text,
    };

    use super::*;

    const WALLET: AccountId = AccountId::new(1);
    const MERCHANT: AccountId = AccountId::new(2);

    fn id(number: u128) -> CommandId {
        CommandId::from_parts(1_700_000_000_000, number)
    }

    fn krw() -> Asset {
        Asset::parse("KRW").unwrap()
    }

    fn transfer(kind: TransferKind) -> Command {
        Command::Transfer(Transfer {
            id: id(1),
            debit: WALLET,
            credit: MERCHANT,
            amount: Amount(70),
            asset: krw(),
            kind,
            reference: Text::default(),
            memo: Text::default(),
        })
    }

    fn a_hold() -> Command {
        Command::Hold(Hold {
            id: id(2),
            debit: WALLET,
            credit: MERCHANT,
            amount: Amount(50),
            asset: krw(),
            expires_in_ms: 1,
            memo: Text::default(),
        })
    }

    fn capture() -> Command {
        Command::Capture(Capture { id: id(1), hold: id(2), amount: None })
    }

    /// Other commands, and whether they move money.
    fn others() -> [(Command, bool); 5] {
        let memo = Text::default();
        [
            (Command::Refund(Refund { id: id(1), payment: id(9), amount: None, memo }), true),
            (
                Command::Reversal(Reversal {
                    id: id(1),
                    transfer: id(9),
                    reason: Text::new("typo").unwrap(),
                }),
                true,
            ),
            (a_hold(), false),
            (Command::Void(Void { id: id(1), hold: id(2) }), false),
            (Command::ExpireHold(evenkeel_wire::hold::ExpireHold { hold: id(2) }), false),
        ]
    }

    fn amount(amount: u64) -> Outcome {
        Outcome { index: 0, rejection: None, amount, debit_after: 0, credit_after: 0 }
    }

    /// Finds these commands by id.
    fn known(
        commands: &[(u128, Command, u64)],
    ) -> impl FnMut(CommandId) -> Result<Option<(Command, Outcome)>, LedgerFault> {
        move |asked| {
            let found = commands.iter().find(|(number, ..)| id(*number) == asked);
            Ok(found.map(|(_, command, moved)| (command.clone(), amount(*moved))))
        }
    }

    fn moved(kind: TransferKind, amount: u64) -> MovementFacts {
        MovementFacts { kind, debit: WALLET, credit: MERCHANT, amount, asset: krw() }
    }

    #[test]
    fn payments_and_captures_can_be_refunded_and_nothing_else() {
        let no = Err(Stop::Rejected(Rejection::PaymentNotFound));
        for kind in TransferKind::ALL {
            let found = find_payment(id(1), &mut known(&[(1, transfer(*kind), 70)]));
            let is_payment = *kind == TransferKind::Payment;
            assert_eq!(found, if is_payment { Ok(moved(*kind, 70)) } else { no.clone() });
        }
        let captured = [(1, capture(), 20), (2, a_hold(), 50)];
        let found = find_payment(id(1), &mut known(&captured));
        assert_eq!(found, Ok(moved(TransferKind::Payment, 20)), "the captured amount");
        for (other, _) in others() {
            assert_eq!(find_payment(id(1), &mut known(&[(1, other, 70)])), no);
        }
        assert_eq!(find_payment(id(1), &mut known(&[])), no);
    }

    #[test]
    fn a_capture_that_contradicts_its_hold_is_a_fault() {
        for (others, wrong) in [
            (vec![], "is missing"),
            (vec![(2, transfer(TransferKind::Payment), 70)], "is missing"),
            (vec![(2, a_hold(), 50)], "took 51 of a hold of 50"),
        ] {
            let commands: Vec<_> = [(1, capture(), 51)].into_iter().chain(others).collect();
            let Err(Stop::Fault(fault)) = find_payment(id(1), &mut known(&commands)) else {
                panic!("{wrong}")
            };
            assert!(fault.to_string().contains(wrong), "{fault}");
        }
    }

    #[test]
    fn only_top_ups_cash_outs_fees_and_grants_can_be_reversed() {
        use TransferKind::{CashOut, Fee, Grant, TopUp};
        let not_allowed = Err(Stop::Rejected(Rejection::ReversalNotAllowed));
        for kind in TransferKind::ALL {
            let found = find_reversible(id(1), &mut known(&[(1, transfer(*kind), 70)]));
            let is_reversible = [TopUp, CashOut, Fee, Grant].contains(kind);
            let expected = if is_reversible { Ok(moved(*kind, 70)) } else { not_allowed.clone() };
            assert_eq!(found, expected, "{kind}");
        }
        assert_eq!(find_reversible(id(1), &mut known(&[(1, capture(), 20)])), not_allowed);
        for (other, is_movement) in others() {
            let found = find_reversible(id(1), &mut known(&[(1, other, 70)]));
            let not_found = Err(Stop::Rejected(Rejection::TransferNotFound));
            assert_eq!(found, if is_movement { not_allowed.clone() } else { not_found });
        }
    }

    #[test]
    fn a_hold_is_found_by_its_id() {
        let found = find_hold(id(2), &mut known(&[(2, a_hold(), 50)])).unwrap();
        assert_eq!(found.map(|hold| hold.amount), Some(Amount(50)));
        assert_eq!(find_hold(id(1), &mut known(&[(1, capture(), 50)])), Ok(None));
        assert_eq!(find_hold(id(1), &mut known(&[])), Ok(None));
    }

    #[test]
    fn there_are_at_most_two_lookups_and_a_failed_one_is_a_fault() {
        let commands = [(1, capture(), 20), (2, a_hold(), 50)];
        for fails_at in 1..=3 {
            let mut asked = 0;
            let mut know = known(&commands);
            let mut committed = |id| {
                asked += 1;
                if asked == fails_at { Err(LedgerFault::new("the disk failed")) } else { know(id) }
            };
            let found = find_payment(id(1), &mut committed);
            assert_eq!(matches!(found, Err(Stop::Fault(_))), fails_at <= 2);
            assert!(asked <= 2);
        }
    }
}
