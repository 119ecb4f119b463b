//! A wrong answer in a history that is right otherwise is found.

use evenkeel_wire::{
    account::{AccountKind, AccountStatus},
    command::Command,
    id::AccountId,
    outcome::{Outcome, Rejection},
    transfer::TransferKind,
};

use super::world::*;
use crate::{
    in_order::{FirstAnswer, judge_in_order},
    model::{Model, Moment},
};

/// A command of every kind, some of them rejected, with the right answers.
fn right() -> Vec<FirstAnswer> {
    let commands = [
        pay(100, RICH, SHOP, 300),
        hold(101, RICH, SHOP, 500),
        capture(102, 101, Some(200)),
        refund(103, 100, Some(100)),
        top_up(104, POOR, 50),
        reverse(105, 104),
        hold(106, RICH, SHOP, 10),
        void(107, 106),
        set_limits(108, POOR, limits(Some(5), None, None)),
        top_up(109, POOR, 6),
        set_status(110, POOR, AccountStatus::Closed),
        transfer(111, TransferKind::Transfer, (RICH, POOR), 1),
        open(AccountId::new(50), AccountKind::Wallet),
    ];
    let mut model = begun();
    let answer = |(command, index): (Command, u16)| {
        let moment = Moment { index, ..NEXT };
        let outcome = model.apply(moment, &command).unwrap().outcome;
        FirstAnswer { command, position: moment.position, time: moment.time, outcome }
    };
    commands.into_iter().zip(0..).map(answer).collect()
}

fn judge(answers: &[FirstAnswer]) -> Result<Model, String> {
    let mut model = begun();
    match judge_in_order(&mut model, answers, FirstAnswer::clone) {
        Ok(_) => Ok(model),
        Err(mismatch) => Err(mismatch.to_string()),
    }
}

#[test]
fn right_answers_pass_in_any_order_of_arrival() {
    let mut answers = right();
    answers.reverse();
    let mut model = begun();
    let verdicts = judge_in_order(&mut model, &answers, FirstAnswer::clone).unwrap();
    assert_eq!(verdicts["committed"], 11);
    assert_eq!((verdicts["max_balance_exceeded"], verdicts["account_closed"]), (1, 1));
}

#[test]
fn each_field_of_each_answer_is_compared() {
    type Spoil = fn(&mut Outcome);
    let wrongs: [(&str, Spoil); 4] = [
        ("amount", |outcome| outcome.amount += 1),
        ("debit_after", |outcome| outcome.debit_after += 1),
        ("credit_after", |outcome| outcome.credit_after -= 1),
        ("rejection", |outcome| {
            outcome.rejection = match outcome.rejection {
                None => Some(Rejection::InsufficientFunds),
                Some(_) => None,
            };
        }),
    ];
    let right = right();
    for (field, spoil) in wrongs {
        for number in 0..right.len() {
            let mut answers = right.clone();
            spoil(&mut answers[number].outcome);
            let found = judge(&answers).expect_err(field);
            let command = format!("{:?}", answers[number].command);
            assert!(found.contains(&command) && found.contains("the rules say"), "{found}");
        }
    }
}

#[test]
fn what_is_missing_doubled_or_out_of_order_is_found() {
    let right = right();
    let missing = right[1..].to_vec();
    let mut doubled = right.clone();
    doubled.push(right[0].clone());
    let mut decided_twice = right.clone();
    let mut again = right[0].clone();
    again.position += 1;
    decided_twice.push(again);
    let mut swapped = right.clone();
    let indexes = (swapped[1].outcome.index, swapped[2].outcome.index);
    (swapped[2].outcome.index, swapped[1].outcome.index) = indexes;
    for (answers, expected) in [
        (missing, "the rules say"),
        (doubled, "both have position and index"),
        (decided_twice, "was decided at position 1000 and again at 1001"),
        (swapped, "the rules say"),
    ] {
        let found = judge(&answers).expect_err(expected);
        assert!(found.contains(expected), "{found}");
    }
}
