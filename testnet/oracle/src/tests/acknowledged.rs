//! Each way in which an answer can contradict the journal is found.

use evenkeel_wire::{
    codec,
    command::Command,
    outcome::{Answer, Outcome, Rejection, Stamp},
};

use super::{journal::begun_journal, world::*};
use crate::{
    acknowledged::{AcknowledgedCommand, Acknowledgements, AnswerCounts},
    journal::JournalModel,
};

const FIRST: u64 = 500;
const LATER: u64 = 501;

/// Two commands in one entry; a replay, a reuse and a failed group in the next one.
fn journal() -> JournalModel {
    let mut journal = begun_journal();
    let first = entry(&[(false, vec![pay(100, RICH, SHOP, 1), pay(101, RICH, SHOP, 2)])]);
    journal.apply_entry(FIRST, NOW, &first).unwrap();
    let groups = [
        (false, vec![pay(100, RICH, SHOP, 1), pay(101, RICH, SHOP, 3)]),
        (true, vec![pay(102, RICH, SHOP, 1), pay(103, POOR, SHOP, 1)]),
    ];
    journal.apply_entry(LATER, NOW, &entry(&groups)).unwrap();
    journal
}

fn stamp(position: u64) -> Stamp {
    Stamp { position, term: 1, recorded_at: NOW, link: [0; 32] }
}

fn answered(command: &Command, position: u64, atomic: bool) -> AcknowledgedCommand {
    let (journal, command) = (journal(), codec::encode(command));
    let decided = journal.decided_at(position).iter();
    let mut same = decided.filter(|one| one.atomic == atomic && *one.content == command[..]);
    let decision = same.next().expect("the entry decided it").decision;
    let answer = Answer { outcome: decision.outcome, first: decision.first.map(stamp) };
    let stamp = stamp(position);
    AcknowledgedCommand { node: 1, command, answer, atomic, stamp, floor: Some(FIRST - 1) }
}

/// The right answers to every command of the journal's end.
fn right() -> Vec<AcknowledgedCommand> {
    vec![
        answered(&pay(100, RICH, SHOP, 1), FIRST, false),
        answered(&pay(101, RICH, SHOP, 2), FIRST, false),
        answered(&pay(100, RICH, SHOP, 1), LATER, false),
        answered(&pay(101, RICH, SHOP, 3), LATER, false),
        answered(&pay(102, RICH, SHOP, 1), LATER, true),
        answered(&pay(103, POOR, SHOP, 1), LATER, true),
    ]
}

fn compare(answers: &[AcknowledgedCommand]) -> Result<AnswerCounts, String> {
    let (journal, mut known) = (journal(), Acknowledgements::default());
    answers.iter().for_each(|answer| known.add_answer(answer.clone()));
    known.compare(&journal, LATER + 1)?;
    known.check_at_end(&journal)?;
    Ok(known.counts())
}

#[test]
fn right_answers_pass_and_are_counted() {
    let counts = compare(&right()).unwrap();
    assert_eq!(counts, AnswerCounts { checked: 6, replays: 1, reuses: 1, failed: 2 });
}

/// It names the entry of its first answer, or that of the rest of its request.
#[test]
fn a_repeat_needs_no_entry_but_its_first_answer() {
    let mut repeat = right()[0].clone();
    repeat.answer.first = Some(stamp(FIRST));
    let mut in_group = repeat.clone();
    in_group.atomic = true;
    let mut with_others = repeat.clone();
    with_others.stamp = stamp(LATER);
    let counts = compare(&[repeat.clone(), in_group, with_others]).unwrap();
    assert_eq!(counts, AnswerCounts { checked: 3, replays: 3, ..AnswerCounts::default() });
    let mut changed = repeat.clone();
    changed.answer.outcome.amount += 1;
    let mut other = repeat;
    other.command = codec::encode(&pay(100, RICH, SHOP, 2));
    for wrong in [changed, other] {
        assert!(compare(std::slice::from_ref(&wrong)).is_err(), "{wrong:?}");
    }
}

#[test]
fn each_wrong_answer_is_found() {
    type Spoil = fn(&mut AcknowledgedCommand);
    let wrongs: [(&str, &[usize], Spoil); 14] = [
        ("a balance", &[0, 1, 2], |one| one.answer.outcome.debit_after += 1),
        ("the other balance", &[0, 1, 2], |one| one.answer.outcome.credit_after -= 1),
        ("an amount", &[0, 1, 2, 3, 4, 5], |one| one.answer.outcome.amount += 1),
        ("an index", &[0, 1, 2, 3, 4, 5], |one| one.answer.outcome.index ^= 1),
        ("a rejection", &[0, 1, 2], |one| {
            one.answer.outcome.rejection = Some(Rejection::InsufficientFunds);
        }),
        ("a commit", &[3, 4, 5], |one| one.answer.outcome.rejection = None),
        ("another code", &[3, 4, 5], |one| {
            one.answer.outcome.rejection = Some(Rejection::AccountClosed);
        }),
        ("another entry", &[0, 1, 3, 4, 5], |one| one.stamp.position -= 1),
        ("a replay that isn't one", &[0, 1, 3], |one| one.answer.first = Some(stamp(FIRST - 1))),
        ("a second effect", &[2], |one| one.answer.first = None),
        ("another first entry", &[2], |one| one.answer.first = Some(stamp(FIRST - 1))),
        ("all or nothing", &[0, 1, 3, 4, 5], |one| one.atomic = !one.atomic),
        ("an older state", &[0, 1, 2, 3, 4, 5], |one| one.floor = Some(LATER + 1)),
        ("other content", &[0, 1, 2, 3, 4, 5], |one| {
            one.command = codec::encode(&pay(199, RICH, SHOP, 1));
        }),
    ];
    for (what, numbers, spoil) in wrongs {
        for number in numbers {
            let mut answers = right();
            spoil(&mut answers[*number]);
            assert!(compare(&answers).is_err(), "{what}: {:?}", answers[*number]);
        }
    }
}

#[test]
fn what_is_lost_or_there_in_spite_of_a_refusal_is_found() {
    let mut lost = right();
    lost[0].stamp.position = LATER + 1;
    assert!(compare(&lost).unwrap_err().contains("lost"));
    let known = |command: &Command| {
        let mut known = Acknowledgements::default();
        known.add_refused(command.id().unwrap(), codec::encode(command));
        known
    };
    let journal = journal();
    let there = known(&pay(100, RICH, SHOP, 1)).check_at_end(&journal);
    assert!(there.unwrap_err().to_string().contains("certainly not done"));
    for absent in [pay(199, RICH, SHOP, 1), pay(100, RICH, SHOP, 7), pay(102, RICH, SHOP, 1)] {
        assert!(known(&absent).check_at_end(&journal).is_ok(), "{absent:?}");
    }
}

#[test]
fn no_client_is_answered_what_nodes_send() {
    let outcome = Outcome { index: 0, rejection: None, amount: 0, debit_after: 0, credit_after: 0 };
    let answer = Answer { outcome, first: None };
    let (command, stamp) = (codec::encode(&genesis()), stamp(0));
    let one = AcknowledgedCommand { node: 1, command, answer, atomic: false, stamp, floor: None };
    assert!(compare(&[one]).unwrap_err().contains("clients send no such command"));
}
