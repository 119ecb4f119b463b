//! Measurements, run on request: `cargo test --release -p evenkeel-storage index::tests::measure --
//! --ignored --nocapture`.

#![expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]

use std::fs;
use std::sync::Arc;
use std::time::Instant;

use super::{Scatter, id_at};
use crate::disk::RealDisk;
use crate::journal::index::{CommandRow, IndexBuilder, OutcomeRow, Part, SegmentIndex};

const COMMANDS: u64 = 1_000_000;
const HOT: u128 = 42;

fn cpu_ms() -> u64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse::<u64>().unwrap() / 1_000_000
}

fn resident_kib(field: &str) -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn command(n: u64, accounts: u64, scatter: &mut Scatter) -> CommandRow {
    CommandRow {
        id: id_at(1_790_000_000_000 + n / 200, scatter.next()),
        alias_id: 0,
        debit: Some(u128::from(100 + scatter.below(accounts)) << 60 | u128::from(scatter.below(2))),
        credit: Some(HOT),
        outcome: OutcomeRow { debit_after: 5, credit_after: 6, ..OutcomeRow::default() },
        part: Part { offset: 8, bytes: 140, checksum: 7 },
    }
}

/// Calls `ask` many times and returns the time per call, in microseconds.
fn each_us(times: u64, mut ask: impl FnMut(u64)) -> u128 {
    let start = Instant::now();
    (0..times).for_each(&mut ask);
    start.elapsed().as_nanos() / u128::from(times)
}

#[test]
#[ignore = "a measurement"]
fn a_million_commands() {
    let folder = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
    for (first, accounts, per_record) in [(0, 10_000, 500), (COMMANDS, 500_000, 1)] {
        let before_kib = resident_kib("VmRSS");
        let (start, cpu_start) = (Instant::now(), cpu_ms());
        let mut scatter = Scatter(9);
        let mut builder = IndexBuilder::new(first);
        let (mut ids, mut all_ids, mut few) = (Vec::new(), Vec::new(), 0);
        for n in 0..COMMANDS {
            if n % per_record == 0 {
                builder.begin_record(first + n / per_record, u32::try_from(per_record).unwrap());
            }
            let row = command(n, accounts, &mut scatter);
            if n % 997 == 0 {
                ids.push(row.id);
                few = row.debit.expect("made so");
            }
            all_ids.push(row.id);
            builder.add_command(&row);
        }
        let (fed_ms, fed_cpu) = (start.elapsed().as_millis(), cpu_ms() - cpu_start);
        let (mut longest, mut last) = (0, Instant::now());
        let mut pace = |_: usize| {
            longest = longest.max(last.elapsed().as_micros());
            last = Instant::now();
        };
        builder.finish(&RealDisk, folder.path(), &mut pace).unwrap();
        let path = crate::journal::index::path_of(folder.path(), first);
        let bytes = fs::metadata(path).unwrap().len();
        println!("{accounts} accounts, {per_record} commands a record:");
        println!(
            "  fed in {fed_ms} ms ({fed_cpu} ms CPU), all in {} ms",
            start.elapsed().as_millis()
        );
        println!("  CPU {} ms, longest step {longest} us", cpu_ms() - cpu_start);
        println!("  file {} B per 1,000 commands", bytes * 1_000 / COMMANDS);
        let peak = resident_kib("VmHWM") - before_kib;
        println!("  peak memory {} B a command", peak * 1024 / COMMANDS);

        let disk = Arc::new(RealDisk);
        let index = SegmentIndex::open(disk, folder.path(), first).unwrap();
        let present = |n: u64| ids[usize::try_from(n).unwrap() % ids.len()];
        let us = each_us(100_000, |n| assert_eq!(index.find(present(n) ^ 1 << 40).unwrap(), None));
        println!("  absent id {us} ns");
        let us = each_us(20_000, |n| assert!(index.find(present(n)).unwrap().is_some()));
        println!("  present id {us} ns");
        measure_many(&index, &all_ids);
        let page = |account, n: u64| {
            let before = Some((first + (n * 7_919 % COMMANDS) / per_record, 0));
            index.history(account, before, 100).unwrap().len()
        };
        let us = each_us(1_000, |n| assert!(page(HOT, n + 1) <= 100));
        println!("  page of 100, account in every command: {us} ns");
        let us = each_us(1_000, |n| assert!(page(few, n) <= 100));
        println!("  page of up to {}, account in few: {us} ns", page(few, 126));
        let records = COMMANDS / per_record;
        let ns = each_us(records.min(100_000), |n| {
            let outcomes = index.outcomes(first + n).unwrap().unwrap();
            assert_eq!(u64::try_from(outcomes.len()).unwrap(), per_record);
        });
        println!("  the outcomes of a record of {per_record}, one after the other: {ns} ns");
        let start = Instant::now();
        index.verify().unwrap();
        println!("  verify {} ms", start.elapsed().as_millis());
    }
}

/// Neighbouring ids, and ids scattered over the segment, each list at once.
fn measure_many(index: &SegmentIndex, all_ids: &[u128]) {
    let near = all_ids[..8_192].to_vec();
    let far = all_ids.iter().step_by(122).copied().collect();
    for (what, mut ids) in [("neighbouring", near), ("scattered", far)] {
        ids.sort_unstable();
        let all =
            each_us(20, |_| assert!(index.find_ids(&ids).unwrap().iter().all(Option::is_some)));
        let each = all / u128::try_from(ids.len()).unwrap();
        println!("  {} {what} ids at once, each {each} ns", ids.len());
    }
}
