//! The index compared with a linear search, for small odd segments and one that is several levels
//! deep.

use proptest::prelude::*;

use super::{Segment, also_of, disk, id_at, open, segment};
use crate::journal::index::{CommandRow, OutcomeRow, Part, SegmentIndex, id_second};

fn outcome() -> impl Strategy<Value = OutcomeRow> {
    (any::<u8>(), any::<u8>(), any::<u16>(), any::<u64>(), any::<i64>(), any::<i64>()).prop_map(
        |(code, flags, index, amount, debit_after, credit_after)| OutcomeRow {
            code,
            flags,
            index,
            amount,
            debit_after,
            credit_after,
        },
    )
}

fn command() -> impl Strategy<Value = CommandRow> {
    // Few ids and accounts, so that ids repeat and both sides of a command may be one account; 0
    // among them.
    let id = prop_oneof![
        1 => Just(0),
        8 => (0_u64..40, 0_u64..3).prop_map(|(second, n)| id_at(second * 700, n)),
        1 => any::<u128>().prop_map(|id| id & !(0xf << 76)),
    ];
    let also = prop_oneof![
        6 => Just(0),
        1 => (0_u64..40, 0_u64..3).prop_map(|(second, n)| also_of(id_at(second * 700, n))),
    ];
    let account =
        || proptest::option::weighted(0.9, prop_oneof![8 => 0_u128..6, 1 => any::<u128>()]);
    let part = any::<(u32, u32, u32)>().prop_map(|(offset, bytes, checksum)| Part {
        offset,
        bytes,
        checksum,
    });
    (id, also, account(), account(), outcome(), part).prop_map(
        |(id, also, debit, credit, outcome, part)| CommandRow {
            id,
            alias_id: also,
            debit,
            credit,
            outcome,
            part,
        },
    )
}

fn any_segment() -> impl Strategy<Value = Segment> {
    let record = prop_oneof![
        2 => Just(Vec::new()),
        6 => prop::collection::vec(command(), 0..6),
        1 => prop::collection::vec(command(), 0..400),
    ];
    let first = prop_oneof![Just(0), 1_u64..1_000_000];
    (first, prop::collection::vec(record, 1..12))
        .prop_map(|(first, records)| Segment { first, records })
}

fn assert_answers(model: &Segment, index: &SegmentIndex) {
    assert_eq!((index.first(), index.last()), (model.first, model.last()));
    let mut accounts: Vec<u128> = (0..8).collect();
    for (command, at) in model.located() {
        accounts.extend([command.debit, command.credit].into_iter().flatten());
        assert_eq!(index.find(command.id).unwrap(), model.find(command.id));
        assert_eq!(index.find(command.alias_id).unwrap(), model.find(command.alias_id));
        assert!(command.id == 0 || index.contains_second(id_second(command.id)));
        assert_eq!(index.command(at.position, at.command).unwrap(), Some(at));
    }
    for position in model.first.saturating_sub(1)..=model.last() + 1 {
        assert_eq!(index.outcomes(position).unwrap(), model.outcomes(position));
    }
    for absent in 0..50 {
        let id = id_at(absent * 700, 77_777);
        assert_eq!(index.find(id).unwrap(), model.find(id));
    }
    accounts.sort_unstable();
    accounts.dedup();
    for account in accounts.into_iter().take(16) {
        assert_pages(model, index, account);
    }
}

fn assert_pages(model: &Segment, index: &SegmentIndex, account: u128) {
    for limit in [0, 1, 3, 1_000] {
        let page = index.history(account, None, limit).unwrap();
        assert_eq!(page, model.history(account, None, limit));
    }
    for position in model.first.saturating_sub(1)..=model.last() + 1 {
        for command in [0, 1, 4, 399, u16::MAX] {
            let before = Some((position, command));
            let page = index.history(account, before, 5).unwrap();
            assert_eq!(page, model.history(account, before, 5));
            let found = index.command(position, command).unwrap();
            assert_eq!(found, model.command(position, command));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn answers_are_those_of_a_look_at_every_command(model in any_segment()) {
        let disk = disk(1);
        model.build(&disk).unwrap();
        let index = open(&disk, model.first);
        index.verify().unwrap();
        assert_answers(&model, &index);
    }
}

#[test]
fn a_segment_of_several_levels_is_walked_page_by_page() {
    let model = segment(1_000, 30_000, 5, 42);
    let disk = disk(1);
    model.build(&disk).unwrap();
    let index = open(&disk, model.first);
    index.verify().unwrap();
    for (command, at) in model.located().step_by(61) {
        assert_eq!(index.find(command.id).unwrap().is_some(), command.id != 0);
        if command.id != 0 {
            assert_eq!(index.find(command.id).unwrap(), Some(at));
            assert_eq!(index.find(command.id ^ 1).unwrap(), None);
        }
        assert_eq!(index.command(at.position, at.command).unwrap(), Some(at));
        assert_eq!(index.outcomes(at.position).unwrap(), model.outcomes(at.position));
        assert_eq!(index.find(command.alias_id).unwrap(), model.find(command.alias_id));
    }
    for account in [7, 1 << 64, 400 << 64, 2, 5] {
        let expected = model.history(account, None, usize::MAX);
        let mut walked = Vec::new();
        let mut before = None;
        loop {
            let page = index.history(account, before, 1_000).unwrap();
            let Some(oldest) = page.last() else { break };
            before = Some((oldest.position, oldest.command));
            walked.extend(page);
        }
        assert_eq!(walked, expected);
    }
}

#[test]
fn a_repeated_id_answers_with_its_first_command() {
    let mut model = segment(0, 3, 5, 3);
    model.records = vec![vec![], vec![first_of(1), first_of(2)], vec![first_of(1)]];
    model.records[2][0].outcome.code = 99;
    let disk = disk(1);
    model.build(&disk).unwrap();
    let found = open(&disk, 0).find(first_of(1).id).unwrap().unwrap();
    assert_eq!((found.position, found.command, found.outcome.code), (1, 0, 0));
}

fn first_of(id: u64) -> CommandRow {
    let (outcome, part) = (OutcomeRow::default(), Part::default());
    CommandRow { id: id_at(id, 0), alias_id: 0, debit: Some(1), credit: Some(2), outcome, part }
}

#[test]
fn few_absent_ids_pass_the_filter() {
    let model = segment(0, 8_000, 5, 5);
    let disk = disk(1);
    model.build(&disk).unwrap();
    let index = open(&disk, 0);
    let asked = 20_000;
    let passed =
        (0..asked).filter(|n| index.passes_filter(id_at(1_790_000_000_000 + n, 0)).unwrap());
    let passed = passed.count();
    assert!(passed < 600, "{passed} of {asked} absent ids passed the filter");
}

#[test]
#[should_panic(expected = "records are added without gaps")]
fn a_record_left_out_is_a_bug() {
    let mut builder = crate::journal::index::IndexBuilder::new(5);
    builder.begin_record(5, 0);
    builder.begin_record(7, 0);
}

#[test]
#[should_panic(expected = "a record lacks commands")]
fn a_missing_command_is_a_bug() {
    let mut builder = crate::journal::index::IndexBuilder::new(5);
    builder.begin_record(5, 1);
    builder.begin_record(6, 0);
}
