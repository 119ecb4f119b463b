use proptest::prelude::*;

use super::*;
use crate::balances::tests::samples::account;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// These bytes are on disks. A change needs a new version and a line in docs/STORAGE.md.
#[test]
fn golden_account() {
    let mut row = account(0x0102, 978, -5);
    row.label = "café".into();
    let row = Row::Account(row);
    let (value, _) = seal(&row.key(), 6, &row.encode_fields());
    assert_eq!(hex(&row.key()), "020000000000000000000000000000010200");
    assert_eq!(
        hex(&value),
        concat!(
            "0106000000000000000100d203000000000000fbffffffffffffff0300000000000000010000",
            "00bc02000000000000295100000540420f000000000000000000000000008813000000000000",
            "00e025dafe5b06000c00000000000000030063000000000000000500636166c3a94b6b343f1a",
            "13971b"
        )
    );
}

#[test]
fn golden_setting() {
    let row = Row::Setting { name: "keys".into(), value: vec![1, 2, 3] };
    let (value, _) = seal(&row.key(), 0x0203, &row.encode_fields());
    assert_eq!(hex(&row.key()), "0300046b65797300");
    assert_eq!(hex(&value), "010302000000000000010203025a3619fb184b05");
}

#[test]
fn golden_entry() {
    let row = Row::Entry { table: 5, key: 0x0102, value: vec![1, 2, 3] };
    let gone = Row::Entry { table: 5, key: 0x0102, value: vec![] };
    assert_eq!(hex(&row.key()), "04050000000000000000000000000000010200");
    assert_eq!(gone.key(), row.key());
    assert_eq!(
        hex(&seal(&row.key(), 6, &row.encode_fields()).0),
        "0106000000000000000102038792f2debd0d4a8d"
    );
    assert_eq!(
        hex(&seal(&gone.key(), 6, &gone.encode_fields()).0),
        "01060000000000000088089e8358481e52"
    );
}

#[test]
fn absent_limits_have_one_encoding() {
    let row = Row::Account(account(1, 978, 5));
    let mut fields = row.encode_fields();
    fields[51] = 1;
    assert_eq!(Row::read(&row.key(), &fields), Err(LayoutError::Field("limits")));
    fields[51] = 0;
    fields[42] |= 8;
    assert_eq!(Row::read(&row.key(), &fields), Err(LayoutError::Field("limits set")));
    fields[42] &= 7;
    fields.push(0);
    assert_eq!(Row::read(&row.key(), &fields), Err(LayoutError::Trailing));
}

#[test]
fn keys_of_one_row_are_neighbours() {
    let setting = |name: &str| Row::Setting { name: name.into(), value: vec![] }.key();
    let mut keys = Vec::new();
    for name in ["a", "a\0", "a\u{1}", "", "ab"] {
        for slot in [0, 1] {
            let mut key = setting(name);
            *key.last_mut().unwrap() = slot;
            keys.push(key);
        }
    }
    keys.sort();
    for pair in keys.chunks(2) {
        assert_eq!(pair[0].split_last().unwrap().1, pair[1].split_last().unwrap().1);
    }
}

fn any_account() -> impl Strategy<Value = AccountRow> {
    let numbers = any::<(u128, u8, u8, u64, i64, i64, u32, u64, u32)>();
    let limits = any::<(Option<u64>, Option<u64>, Option<u64>)>();
    let opened = any::<(u64, u64, u16, u64)>();
    (numbers, limits, opened, ".{0,64}").prop_map(|(numbers, limits, opened, label)| AccountRow {
        id: numbers.0,
        kind: numbers.1,
        status: numbers.2,
        asset: numbers.3,
        posted: numbers.4,
        held: numbers.5,
        incoming_holds: numbers.6,
        debited_today: numbers.7,
        debited_date: numbers.8,
        max_balance: limits.0,
        per_transfer: limits.1,
        daily_debit: limits.2,
        opened_at: opened.0,
        opened_position: opened.1,
        opened_index: opened.2,
        changed_position: opened.3,
        label,
    })
}

fn any_row() -> impl Strategy<Value = Row> {
    let setting = (".{0,40}", any::<Vec<u8>>());
    prop_oneof![
        any_account().prop_map(Row::Account),
        setting.prop_map(|(name, value)| Row::Setting { name, value }),
        any::<(u8, u128, Vec<u8>)>().prop_map(|(table, key, value)| Row::Entry {
            table,
            key,
            value
        }),
    ]
}

proptest! {
    #[test]
    fn rows_come_back(row in any_row(), generation: u64, slot in 0..2_u8) {
        let mut key = row.key();
        *key.last_mut().unwrap() = slot;
        let (value, hash) = seal(&key, generation, &row.encode_fields());
        let unsealed = unseal(&key, &value).unwrap();
        prop_assert_eq!(unsealed.generation, generation);
        prop_assert_eq!(unsealed.hash, hash);
        prop_assert_eq!(Row::read(&key, unsealed.fields), Ok(row));
    }

    #[test]
    fn a_flipped_bit_anywhere_is_refused(row in any_row(), bit: prop::sample::Index) {
        let key = row.key();
        let (value, _) = seal(&key, 1, &row.encode_fields());
        let mut both = [key.as_slice(), &value].concat();
        let bit = bit.index(both.len() * 8);
        both[bit / 8] ^= 1 << (bit % 8);
        let (key, value) = both.split_at(key.len());
        prop_assert_eq!(unseal(key, value).err(), Some(LayoutError::Checksum));
    }

    #[test]
    fn any_bytes_are_read_without_panic_and_one_way_only(
        kind in 0..6_u8, key: Vec<u8>, fields in prop::collection::vec(any::<u8>(), 0..120),
    ) {
        let key = [&[kind], key.as_slice()].concat();
        let _ = unseal(&key, &fields);
        if let Ok(row) = Row::read(&key, &fields) {
            prop_assert_eq!(row.encode_fields(), fields);
        }
    }
}
