//! The time that a transfer takes. A measurement, not a test:
//! `cargo test --release -p evenkeel-ledger speed -- --ignored --nocapture`.

use std::time::{Duration, Instant};

use evenkeel_wire::{
    account::AccountKind,
    codec,
    command::Command,
    entry::EntryBuilder,
    id::{AccountId, OPERATOR_KEY},
    transfer::TransferKind,
};

use super::support::world::*;
use crate::{AuditProgress, Ledger, MemoryAdvice};

const RECENT: u128 = 2_000_000;
const MEASURED: u128 = 1_000_000;
const ENTRY_COMMANDS: u128 = 4_096;
const GROUP_COMMANDS: u128 = 64;

/// The advice that the node gives.
const HUGE_PAGES: MemoryAdvice = MemoryAdvice::new(|start, bytes| {
    // SAFETY: the range is the ledger's own memory, and the advice doesn't change what it holds.
    #[expect(unsafe_code, reason = "the system call has no safe form")]
    let _ = unsafe { rustix::mm::madvise(start.cast(), bytes, rustix::mm::Advice::LinuxHugepage) };
});

struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

fn wallet(number: u64) -> AccountId {
    // Spread over all bits, like UUIDs.
    account(u128::from(number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))
}

/// Bodies of entries of many groups.
fn bodies(numbers: &mut Numbers, accounts: u64, ids: std::ops::Range<u128>) -> Vec<(u64, Vec<u8>)> {
    let mut bodies = Vec::new();
    let (mut next, end) = (ids.start, ids.end);
    while next < end {
        let mut builder = EntryBuilder::new();
        let last = (next + ENTRY_COMMANDS).min(end);
        while next < last {
            let mut bytes = Vec::new();
            let group = (last - next).min(GROUP_COMMANDS);
            for _ in 0..group {
                let debit = numbers.below(accounts);
                let credit = (debit + 1 + numbers.below(accounts - 1)) % accounts;
                let milliseconds = i64::try_from(next / 1_000).unwrap();
                let random = (u128::from(numbers.below(u64::MAX)) << 40) | next;
                let id = id(milliseconds, random);
                let parties = (wallet(debit), wallet(credit));
                let command = transfer(id, TransferKind::Transfer, parties, 1, "KRW");
                codec::encode_into(&command, &mut bytes);
                next += 1;
            }
            builder.push(OPERATOR_KEY, false, u32::try_from(group).unwrap(), &bytes);
        }
        bodies.push((T0 + u64::try_from(next).unwrap(), builder.finish()));
    }
    bodies
}

/// Elapsed time and processor time.
fn timed(work: impl FnOnce()) -> (Duration, Duration) {
    let (began, used) = (now(), processor_time());
    work();
    (began.elapsed(), processor_time().saturating_sub(used))
}

/// The processor time of this thread.
fn processor_time() -> Duration {
    let numbers = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(numbers.split(' ').next().unwrap().parse().unwrap())
}

fn apply(world: &mut World, bodies: &[(u64, Vec<u8>)]) {
    let mut answers = Vec::new();
    for (time, body) in bodies {
        answers.clear();
        let head = head(world.ledger.position().unwrap() + 1, *time);
        let applied = world.ledger.apply(&head, body, &mut world.journal, &mut answers).unwrap();
        assert_eq!(applied.committed, applied.commands);
    }
}

#[expect(clippy::disallowed_methods, reason = "it measures")]
fn now() -> Instant {
    Instant::now()
}

fn nanoseconds_each(spent: Duration, count: u128) -> u128 {
    spent.as_nanos() / count
}

fn measure(accounts: u64) {
    let mut world = World { ledger: Ledger::new(HUGE_PAGES), ..World::empty() };
    world.entry(T0, &[Command::Genesis(Box::new(genesis()))]);
    let bank = account(1);
    world.open(bank, AccountKind::Bank, "KRW");
    let mut opening = Vec::new();
    for first in (0..accounts).step_by(4_000) {
        let numbers = first..(first + 4_000).min(accounts);
        let opens = numbers.clone().map(|n| open(wallet(n), AccountKind::Wallet, "KRW", ""));
        let top_ups = numbers.map(|number| {
            let id = id(0, u128::from(number));
            transfer(id, TransferKind::TopUp, (bank, wallet(number)), 1_000_000, "KRW")
        });
        opening.push((T0, body(&opens.chain(top_ups).collect::<Vec<_>>())));
    }
    let (opened, _) = timed(|| apply(&mut world, &opening));
    let mut numbers = Numbers(1);
    apply(&mut world, &bodies(&mut numbers, accounts, 0..RECENT));
    let measured = bodies(&mut numbers, accounts, RECENT..RECENT + MEASURED);
    let (_, skimmed) = timed(|| {
        for (_, body) in &measured {
            assert!(world.ledger.find_lookups(body).is_empty());
        }
    });
    println!("  {} ns to find a transfer's lookups", nanoseconds_each(skimmed, MEASURED));
    let (passed, used) = timed(|| apply(&mut world, &measured));
    println!(
        "{accounts} accounts, {RECENT} recent ids: a transfer takes {} ns, {} of them processor \
         time; {} ns to open and top up",
        nanoseconds_each(passed, MEASURED),
        nanoseconds_each(used, MEASURED),
        nanoseconds_each(opened, u128::from(accounts)),
    );
    let began = now();
    let digest = world.ledger.digest();
    println!("  digest {} ns ({:02x})", began.elapsed().as_nanos(), digest[0]);
    slices(&mut world);
}

/// The times of a checkpoint and an audit, and of their longest slices.
fn slices(world: &mut World) {
    let mut rows = Vec::new();
    let (mut longest, began) = (Duration::ZERO, now());
    world.ledger.checkpoint_begin(true).unwrap();
    println!("  checkpoint_begin {} ns", began.elapsed().as_nanos());
    let mut count = 0;
    loop {
        let slice = now();
        let more = world.ledger.checkpoint_next(2_000, &mut rows);
        longest = longest.max(slice.elapsed());
        count += rows.len();
        rows.clear();
        if !more {
            break;
        }
    }
    let spent = began.elapsed().as_nanos();
    println!("  checkpoint of {count} rows {spent} ns, longest slice of 2,000 {longest:?}");
    let (mut longest, began) = (Duration::ZERO, now());
    loop {
        let slice = now();
        let progress = world.ledger.audit_next(2_000).unwrap();
        longest = longest.max(slice.elapsed());
        if let AuditProgress::Agreed { .. } = progress {
            break;
        }
    }
    println!("  audit {:?}, longest slice of 2,000 {longest:?}", began.elapsed());
}

#[test]
#[ignore = "a measurement: run it with --release"]
fn speed_of_apply() {
    for accounts in [10_000, 1_000_000] {
        measure(accounts);
    }
}
