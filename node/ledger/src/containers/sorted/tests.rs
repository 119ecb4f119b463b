//! The sorted table, compared with a store of its checkpoints.

use proptest::prelude::*;

use super::*;

impl TableValue for u32 {
    fn digest(&self) -> u64 {
        u64::from(*self)
    }

    fn encode(&self) -> Vec<u8> {
        self.to_le_bytes().to_vec()
    }

    fn decode(_: u128, bytes: &[u8]) -> Result<Self, String> {
        Ok(Self::from_le_bytes(bytes.try_into().map_err(|_| "not four bytes")?))
    }
}

type Store = BTreeMap<u128, Vec<u8>>;

/// The content of a store of these rows.
fn stored(rows: &BTreeMap<u128, u32>) -> Store {
    rows.iter().map(|(key, value)| (*key, value.encode())).collect()
}

fn keep(store: &mut Store, key: u128, value: Vec<u8>) {
    if value.is_empty() { drop(store.remove(&key)) } else { drop(store.insert(key, value)) }
}

fn copy(table: &mut SortedTable<u32>, mut left: usize, store: &mut Store) {
    table.checkpoint_next(&mut left, &mut |key, value| keep(store, key, value));
}

#[test]
fn undone_changes_leave_no_trace() {
    let mut table = SortedTable::<u32>::default();
    table.set(7, Some(1));
    let digest = table.digest();
    let changes: [(u128, Option<u32>); 4] = [(7, Some(2)), (8, Some(1)), (7, None), (9, None)];
    let mut undo = Vec::new();
    for (key, value) in changes {
        undo.push((key, table.set(key, value)));
    }
    assert_ne!(table.digest(), digest);
    for (key, before) in undo.into_iter().rev() {
        table.set(key, before);
    }
    assert_eq!(table.digest(), digest);
    assert_eq!(table.iter().collect::<Vec<_>>(), [(7, &1)]);
}

#[test]
fn keys_and_values_are_part_of_the_digest() {
    let digest = |rows: &[(u128, u32)]| {
        let mut table = SortedTable::default();
        for (key, value) in rows {
            table.set(*key, Some(*value));
        }
        table.digest()
    };
    assert_eq!(digest(&[]), 0);
    assert_eq!(digest(&[(1, 2), (3, 4)]), digest(&[(3, 4), (1, 2)]));
    for other in [&[(1, 4), (3, 2)][..], &[(1, 2)], &[(1, 2), (3, 5)], &[(1, 2), (4, 4)]] {
        assert_ne!(digest(&[(1, 2), (3, 4)]), digest(other), "{other:?}");
    }
}

#[test]
fn a_damaged_row_is_refused() {
    let mut table = SortedTable::<u32>::default();
    table.load(1, &[1, 0, 0, 0]).unwrap();
    assert_eq!(table.load(1, &[1, 0, 0, 0]).unwrap_err(), "it's there twice");
    assert_eq!(table.load(2, &[1, 0, 0]).unwrap_err(), "not four bytes");
}

/// Audits to the end, in slices of this many rows.
fn audit(table: &mut SortedTable<u32>, rows: usize) -> bool {
    (0..100).find_map(|_| table.audit_next(&mut rows.clone(), &mut |_, value| *value < 9)).unwrap()
}

/// A change, and whether the table is sound after it.
type Change = (fn(&mut SortedTable<u32>), bool);

#[test]
fn an_audit_finds_corrupted_rows() {
    let changes: &[Change] = &[
        (|_| (), true),
        (|table| _ = table.rows.insert(5, 8), false),
        (|table| _ = table.rows.remove(&5), false),
        (|table| _ = table.rows.insert(6, 1), false),
        (|table| table.digest ^= 1, false),
        (|table| _ = table.set(5, Some(9)), false),
        (|table| _ = table.set(5, Some(8)), true),
    ];
    for (number, (change, sound)) in changes.iter().enumerate() {
        for rows in [1, 3, 100] {
            let mut table = SortedTable::default();
            for key in 1..=5 {
                table.set(key, Some(1));
            }
            assert!(audit(&mut table, rows));
            change(&mut table);
            assert_eq!(audit(&mut table, rows), *sound, "change {number}");
        }
    }
}

#[test]
fn an_audit_agrees_while_rows_come_and_go() {
    let mut table = SortedTable::default();
    let mut agreed = 0;
    for turn in 0..1_000_u32 {
        let key = u128::from(turn.wrapping_mul(0x9e37_79b9) >> 27);
        table.set(key, turn.is_multiple_of(3).then_some(turn % 9));
        match table.audit_next(&mut 2, &mut |_, _| true) {
            None => {}
            Some(sound) => {
                assert!(sound, "turn {turn}");
                agreed += 1;
            }
        }
    }
    assert!(agreed > 50, "{agreed}");
}

#[derive(Clone, Debug)]
enum Act {
    Set(u128, Option<u32>),
    Begin { all: bool },
    Copy(usize),
    End { written: bool },
}

/// Once, a hold that was placed after the first checkpoint was copied and before it was written
/// made that checkpoint count as incomplete. The next one counted as the first: it didn't report
/// removed rows, and a start loaded holds without their accounts' held amounts.
#[test]
fn a_row_added_after_a_complete_copy_is_not_part_of_it() {
    let mut table = SortedTable::<u32>::default();
    let mut store = Store::new();
    table.set(1, Some(10));
    table.checkpoint_begin(true);
    copy(&mut table, 9, &mut store);
    table.set(2, Some(20));
    assert!(table.checkpoint_is_over());
    table.checkpoint_end(true);

    table.set(1, None);
    table.checkpoint_begin(false);
    copy(&mut table, 9, &mut store);
    assert_eq!(store, stored(&BTreeMap::from([(2, 20)])));
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        6 => (0..12_u128, proptest::option::of(0..3_u32))
            .prop_map(|(key, value)| Act::Set(key, value)),
        1 => any::<bool>().prop_map(|all| Act::Begin { all }),
        4 => (1..5_usize).prop_map(Act::Copy),
        2 => prop::bool::weighted(0.8).prop_map(|written| Act::End { written }),
    ];
    proptest::collection::vec(act, 1..120)
}

proptest! {
    /// A store of the finished checkpoints alone has the state when the last of them began.
    #[test]
    fn a_checkpoint_is_the_state_when_it_began(acts in acts()) {
        let mut table = SortedTable::<u32>::default();
        let (mut model, mut store) = (BTreeMap::new(), Store::new());
        let mut under_way: Option<(Store, Store)> = None;
        for act in acts {
            match act {
                Act::Set(key, value) => {
                    let before = match value {
                        Some(value) => model.insert(key, value),
                        None => model.remove(&key),
                    };
                    prop_assert_eq!(table.set(key, value), before);
                }
                Act::Begin { all } => {
                    // Rows of an unwritten checkpoint are dropped, those of written ones stay.
                    table.checkpoint_begin(all);
                    under_way = Some((store.clone(), stored(&model)));
                }
                Act::Copy(left) => {
                    if let Some((copied, _)) = &mut under_way {
                        copy(&mut table, left, copied);
                    }
                }
                Act::End { written } => {
                    let Some((mut copied, expected)) = under_way.take() else { continue };
                    if written {
                        while !table.checkpoint_is_over() {
                            copy(&mut table, 3, &mut copied);
                        }
                        prop_assert_eq!(&copied, &expected);
                        store = copied;
                    }
                    table.checkpoint_end(written);
                }
            }
            let mut anew = SortedTable::<u32>::default();
            for (key, value) in &model {
                anew.set(*key, Some(*value));
            }
            prop_assert_eq!(table.digest(), anew.digest());
        }
    }
}
