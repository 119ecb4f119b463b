//! Measures the cost of checkpoints: `cargo test --release -p evenkeel-storage measure -- --ignored
//! --nocapture --test-threads 1`, with `EVENKEEL_ACCOUNTS` (10,000 if not set).

use std::fs;
use std::path::Path;
use std::time::Instant;

use super::samples::{Book, account};
use crate::balances::{Checkpoints, Row, open};

#[test]
#[ignore = "measures; takes minutes with a million accounts"]
fn measure() {
    let accounts = std::env::var("EVENKEEL_ACCOUNTS").map_or(10_000, |text| text.parse().unwrap());
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("balances");
    println!("{accounts} accounts; resident before: {} MiB", resident_mib());
    let mut checkpoints = open(&folder).unwrap();
    for round in 1..=10_u64 {
        let (generation, seconds) = timed(|| checkpoint_of_all(&mut checkpoints, accounts, round));
        if [1, 2, 5, 10].contains(&round) {
            println!(
                "generation {generation}: {seconds:.2} s, {:.0} rows/s, {:.0} bytes on disk a row, \
                 resident {} MiB",
                accounts as f64 / seconds,
                disk_bytes(&folder) as f64 / accounts as f64,
                resident_mib(),
            );
        }
    }
    let (_, seconds) = timed(|| checkpoint_of_some(&mut checkpoints, accounts, 11));
    println!("a tenth of the rows, spread: {:.0} rows/s", accounts as f64 / 10.0 / seconds);

    let ((), seconds) = timed(|| drop(checkpoints));
    println!("closed in {seconds:.2} s; resident {} MiB", resident_mib());
    let (mut checkpoints, seconds) = timed(|| open(&folder).unwrap());
    println!("opened in {seconds:.2} s; resident {} MiB", resident_mib());
    let (rows, seconds) = timed(|| {
        let mut rows = 0_u64;
        checkpoints
            .load(&mut |_| {
                rows += 1;
                Ok(())
            })
            .unwrap();
        rows
    });
    println!("loaded {rows} in {seconds:.2} s; resident {} MiB", resident_mib());
}

fn checkpoint_of_all(checkpoints: &mut dyn Checkpoints, accounts: u64, round: u64) -> u64 {
    put_every(checkpoints, accounts, round, 1)
}

fn checkpoint_of_some(checkpoints: &mut dyn Checkpoints, accounts: u64, round: u64) -> u64 {
    put_every(checkpoints, accounts, round, 10)
}

fn put_every(checkpoints: &mut dyn Checkpoints, accounts: u64, round: u64, step: usize) -> u64 {
    let generation = checkpoints.begin(false).unwrap();
    let ids: Vec<u64> = (0..accounts).step_by(step).collect();
    for slice in ids.chunks(1000) {
        let row = |id: &u64| {
            let spread = u128::from(id.wrapping_mul(0x9e37_79b9_7f4a_7c15)) << 64 | u128::from(*id);
            let mut row = account(spread, 978, 0);
            row.changed_position = round;
            Row::Account(row)
        };
        checkpoints.put(&slice.iter().map(row).collect::<Vec<_>>()).unwrap();
    }
    let mut marker = Book::default().marker(generation);
    marker.accounts = accounts;
    checkpoints.finish(marker).unwrap();
    generation
}

#[expect(clippy::disallowed_methods, reason = "a measurement needs a clock")]
fn timed<R>(part: impl FnOnce() -> R) -> (R, f64) {
    let begun = Instant::now();
    let result = part();
    (result, begun.elapsed().as_secs_f64())
}

fn disk_bytes(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().metadata().unwrap());
    entries.map(|metadata| metadata.blocks() * 512).sum()
}

fn resident_mib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}
