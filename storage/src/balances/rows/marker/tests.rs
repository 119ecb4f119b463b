use proptest::prelude::*;

use super::*;
use crate::balances::rows::totals::Totals;

fn marker(generation: u64) -> Marker {
    Marker {
        generation,
        position: 1000,
        term: 4,
        time: 1_790_000_000_000_000,
        link: Link([7; 32]),
        accounts: 0,
        digest: [9; 32],
        sums: vec![(978, 0)],
        format: 2,
    }
}

/// These bytes are on disks. A change needs a new version and a line in docs/STORAGE.md.
#[test]
fn golden_marker() {
    let row = MarkerRow::new(marker(3), &Totals::default()).unwrap();
    let hex: String = row.encode_value().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(MarkerRow::key(3), [1, 1]);
    assert_eq!(
        hex,
        concat!(
            "0103000000000000000200e803000000000000040000000000000000e025dafe5b0600070707",
            "0707070707070707070707070707070707070707070707070707070707000000000000000009",
            "0909090909090909090909090909090909090909090909090909090909090900000000000000",
            "0000000000000000000000000000000000000000000000000000000000000000000000000000",
            "0000000100d20300000000000000000000000000000000000000000000e176956a6b7c48b4"
        )
    );
}

#[test]
fn a_marker_in_the_other_slot_is_refused() {
    let row = MarkerRow {
        marker: marker(3),
        settings: 0,
        entries: 0,
        rows_digest: RowsDigest::default(),
    };
    let fields = row.encode_value()[9..row.encode_value().len() - 8].to_vec();
    let (value, _) = rows::seal(&MarkerRow::key(4), 3, &fields);
    let refused = MarkerRow::read(&MarkerRow::key(4), &value);
    assert_eq!(refused, Err(LayoutError::Field("generation")));
}

#[test]
fn more_sums_than_fit_are_refused() {
    let mut marker = marker(1);
    marker.sums = (0..=4096).map(|asset| (asset, 0)).collect();
    let refused = MarkerRow::new(marker, &Totals::default());
    assert!(matches!(refused, Err(CheckpointError::TooLarge { bytes: 4097, .. })));
}

proptest! {
    #[test]
    fn markers_come_back(
        generation in 1..u64::MAX,
        numbers: (u64, u64, u64, u64, u16, u64, u64),
        bytes: ([u8; 32], [u8; 32], [u8; 32]),
        sums: Vec<(u64, i128)>,
    ) {
        let marker = Marker {
            generation,
            position: numbers.0,
            term: numbers.1,
            time: numbers.2,
            link: Link(bytes.0),
            accounts: numbers.3,
            digest: bytes.1,
            sums,
            format: numbers.4,
        };
        let rows_digest = RowsDigest::from_bytes(&bytes.2);
        let row = MarkerRow { marker, settings: numbers.5, entries: numbers.6, rows_digest };
        prop_assert_eq!(MarkerRow::read(&MarkerRow::key(generation), &row.encode_value()), Ok(row));
    }
}
