//! Measures how fast the journal appends on this disk: `cargo run --release --example journal_speed
//! [FOLDER]`.
//!
//! Small records as from single requests, and large ones as from full batches. It only prints
//! figures and asserts nothing about time.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::float_arithmetic,
    reason = "a measurement reads the clock and prints"
)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use evenkeel_storage::disk::RealDisk;
use evenkeel_storage::journal::{self, Journal, JournalOptions, NewRecord};

struct Case {
    name: &'static str,
    payload_bytes: usize,
    records_per_append: u64,
    /// The most records appended and not yet durable.
    in_flight_max: u64,
    records: u64,
}

const CASES: [Case; 5] = [
    Case {
        name: "one at a time",
        payload_bytes: 100,
        records_per_append: 1,
        in_flight_max: 1,
        records: 2_000,
    },
    Case {
        name: "64 waiting",
        payload_bytes: 100,
        records_per_append: 1,
        in_flight_max: 64,
        records: 100_000,
    },
    Case {
        name: "4096 waiting",
        payload_bytes: 100,
        records_per_append: 1,
        in_flight_max: 4096,
        records: 1_000_000,
    },
    Case {
        name: "4096 waiting, 64 an append",
        payload_bytes: 100,
        records_per_append: 64,
        in_flight_max: 4096,
        records: 1_000_000,
    },
    Case {
        name: "full batches, 4 waiting",
        payload_bytes: 590_000,
        records_per_append: 1,
        in_flight_max: 4,
        records: 1_500,
    },
];

fn main() {
    let folder = std::env::args().nth(1).unwrap_or_else(|| "journal-speed".to_owned());
    for case in &CASES {
        let folder = Path::new(&folder).join(case.name.replace([' ', ','], "-"));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("the folder can be created");
        measure(case, &folder);
        std::fs::remove_dir_all(&folder).expect("the folder was created above");
    }
}

fn measure(case: &Case, folder: &Path) {
    let options = JournalOptions::new(*b"evenkeel speed..");
    let opened = journal::open(Arc::new(RealDisk), folder, options);
    let (journal, writer, _) = opened.expect("an empty folder opens");
    let thread = std::thread::spawn(move || writer.run());
    let payload = Bytes::from(vec![7; case.payload_bytes]);
    let durable = Arc::new(AtomicU64::new(0));
    let mut appending = Duration::ZERO;
    let start = Instant::now();
    let mut next = 0;
    while next < case.records {
        while next - durable.load(Ordering::Acquire) >= case.in_flight_max {
            std::thread::park_timeout(Duration::from_micros(50));
        }
        let before = Instant::now();
        next = append(&journal, case, next, &payload, &durable);
        appending += before.elapsed();
    }
    while durable.load(Ordering::Acquire) < next {
        std::thread::sleep(Duration::from_micros(50));
    }
    let seconds = start.elapsed().as_secs_f64();
    journal.close();
    thread.join().expect("the writer doesn't panic");
    report(case, next, seconds, appending);
}

fn append(
    journal: &Journal,
    case: &Case,
    next: u64,
    payload: &Bytes,
    durable: &Arc<AtomicU64>,
) -> u64 {
    let end = next + case.records_per_append;
    let record = |position| NewRecord {
        position,
        term: 1,
        time: position,
        kind: 1,
        payload: payload.clone(),
    };
    let durable = Arc::clone(durable);
    let appender = std::thread::current();
    let done = Box::new(move |result: Result<(), journal::Poisoned>| {
        result.expect("the disk works");
        durable.store(end, Ordering::Release);
        appender.unpark();
    });
    journal.append((next..end).map(record).collect(), done).expect("the disk works");
    end
}

fn report(case: &Case, records: u64, seconds: f64, appending: Duration) {
    let count = f64::from(u32::try_from(records).expect("few enough"));
    let bytes = count * f64::from(u32::try_from(case.payload_bytes).expect("small enough"));
    println!(
        "{:<28} {:>7} B  {:>10.0} records/s  {:>7.1} MB/s  append() {:>8.2} µs/record",
        case.name,
        case.payload_bytes,
        count / seconds,
        bytes / seconds / 1e6,
        appending.as_secs_f64() * 1e6 / count,
    );
}
