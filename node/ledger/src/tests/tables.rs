//! Hash tables and chunked rows.

use evenkeel_wire::account::AccountKind;

use super::support::world::*;
use crate::containers::{
    ids::{HashSeed, IdTable},
    memory::MemoryAdvice,
    rows::Rows,
};

#[test]
fn a_table_finds_every_id_also_after_growing() {
    let seed = HashSeed::fixed([1, 2]);
    let ids: Vec<u128> = (0..5_000).map(|number| number << 64 | 7).collect();
    let mut table = IdTable::new(1, MemoryAdvice::NONE);
    for (number, id) in ids.iter().enumerate() {
        if table.is_crowded() {
            table.grow(MemoryAdvice::NONE);
        }
        table.insert(seed.hash(*id), u32::try_from(number).unwrap());
    }
    let find = |id: u128| {
        let found = table.find(seed.hash(id), |number| ids[usize::try_from(number).unwrap()] == id);
        found.map(|number| ids[usize::try_from(number).unwrap()])
    };
    for id in &ids {
        assert_eq!(find(*id), Some(*id));
        assert_eq!(find(id + 1), None);
    }
}

#[test]
fn ids_with_the_same_hash_are_distinguished() {
    let hash = HashSeed::fixed([1, 2]).hash(5);
    let mut table = IdTable::new(4, MemoryAdvice::NONE);
    for number in 0..10 {
        table.insert(hash, number);
    }
    for number in 0..10 {
        assert_eq!(table.find(hash, |found| found == number), Some(number));
    }
    assert_eq!(table.find(hash, |_| false), None);
}

/// A removed number leaves no gap that ends a search too early, for all displacements.
#[test]
fn a_table_finds_all_others_after_a_removal() {
    let seed = HashSeed::fixed([1, 2]);
    let mut table = IdTable::new(6, MemoryAdvice::NONE);
    let mut there = Vec::<u32>::new();
    // Half of them share their hash with others.
    let hash_of = |number: u32| {
        seed.hash(u128::from(if number.is_multiple_of(2) { number % 8 } else { number }))
    };
    for turn in 0..20_000_u32 {
        let number = turn.wrapping_mul(0x9e37_79b9) >> 26;
        match there.iter().position(|known| *known == number) {
            Some(at) => {
                table.remove(hash_of(number), number);
                there.swap_remove(at);
            }
            None if there.len() < 60 => {
                table.insert(hash_of(number), number);
                there.push(number);
            }
            None => {}
        }
        for number in 0..64 {
            let found = table.find(hash_of(number), |found| found == number);
            assert_eq!(found.is_some(), there.contains(&number), "turn {turn}");
        }
    }
}

#[test]
#[should_panic(expected = "a number that is removed must be in the table")]
fn only_numbers_in_the_table_can_be_removed() {
    let mut table = IdTable::new(4, MemoryAdvice::NONE);
    table.insert(HashSeed::fixed([1, 2]).hash(5), 7);
    table.remove(HashSeed::fixed([1, 2]).hash(5), 8);
}

#[test]
fn rows_are_added_and_removed_across_chunks() {
    let mut rows = Rows::new(MemoryAdvice::NONE);
    let border = 1_usize << 18;
    for number in 0..border + 2 {
        rows.push(number);
    }
    for _ in 0..2 {
        for number in [border + 1, border, border - 1] {
            assert_eq!(rows.len(), number + 1);
            assert_eq!((rows[number], rows.pop()), (number, Some(number)));
        }
        for number in border - 1..border + 2 {
            rows.push(number);
            assert_eq!((rows.len(), rows[number]), (number + 1, number));
        }
    }
    assert_eq!(Rows::<u8>::new(MemoryAdvice::NONE).pop(), None);
}

#[test]
#[should_panic(expected = "the table of ids is full")]
fn a_table_is_never_filled_to_its_last_word() {
    let mut table = IdTable::new(2, MemoryAdvice::NONE);
    for number in 0..4 {
        table.insert(HashSeed::fixed([1, 2]).hash(u128::from(number)), number);
    }
}

#[test]
fn rows_are_found_in_every_chunk() {
    let mut world = World::bootstrapped();
    let count = (1_u128 << 18) + 2;
    for first in (0..count).step_by(8_000) {
        let numbers = first..(first + 8_000).min(count);
        let opens = numbers.map(|number| open(account(number), AccountKind::Bank, "KRW", ""));
        let body = body(&opens.collect::<Vec<_>>());
        let head = head(world.ledger.position().unwrap() + 1, T0);
        world.ledger.apply(&head, &body, &mut world.journal, &mut Vec::new()).unwrap();
    }
    assert_eq!(u128::try_from(world.ledger.account_count()).unwrap(), count);
    for number in [0, 1, (1 << 18) - 1, 1 << 18, (1 << 18) + 1] {
        assert_eq!(world.ledger.account(account(number)).unwrap().id, account(number));
    }
    assert_eq!(world.ledger.account(account(count)), None);
    while let crate::AuditProgress::Underway { .. } = world.ledger.audit_next(50_000).unwrap() {}
}
