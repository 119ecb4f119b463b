//! How long a transfer takes. A measurement, not a promise: `cargo test --release -p evenkeel-node speed -- --ignored
//! --nocapture`.

use std::time::{Duration, Instant};

use evenkeel_wire::{
    account::AccountKind,
    codec,
    entry::EntryBuilder,
    id::{AccountId, OPERATOR_KEY},
    transfer::TransferKind,
};

use super::{super::AuditProgress, world::*};

const RECENT: u128 = 2_000_000;
const MEASURED: u128 = 1_000_000;
const ENTRY_COMMANDS: u128 = 4_096;

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

/// Applies transfers in entries of many groups; gives the time spent in `apply` alone.
fn transfers(
    world: &mut World,
    numbers: &mut Numbers,
    accounts: u64,
    ids: std::ops::Range<u128>,
) -> Duration {
    let mut spent = Duration::ZERO;
    let mut answers = Vec::new();
    let (mut next, end) = (ids.start, ids.end);
    let mut position = world.ledger.position().unwrap();
    while next < end {
        let mut builder = EntryBuilder::new();
        let last = (next + ENTRY_COMMANDS).min(end);
        while next < last {
            let mut bytes = Vec::new();
            let group = (last - next).min(64);
            for _ in 0..group {
                let debit = numbers.below(accounts);
                let credit = (debit + 1 + numbers.below(accounts - 1)) % accounts;
                let milliseconds = i64::try_from(next / 1_000).unwrap();
                let random = u128::from(numbers.below(u64::MAX)) << 40 | next;
                let id = id(milliseconds, random);
                let parties = (wallet(debit), wallet(credit));
                let command = transfer(id, TransferKind::Transfer, parties, 1, "KRW");
                codec::encode_into(&command, &mut bytes);
                next += 1;
            }
            builder.push(OPERATOR_KEY, u32::try_from(group).unwrap(), &bytes);
        }
        let body = builder.finish();
        position += 1;
        let time = T0 + u64::try_from(next).unwrap();
        answers.clear();
        let head = head(position, time);
        let began = now();
        let applied = world.ledger.apply(&head, &body, &mut world.journal, &mut answers).unwrap();
        spent += began.elapsed();
        assert_eq!(applied.committed, applied.commands);
    }
    spent
}

#[expect(clippy::disallowed_methods, reason = "it measures")]
fn now() -> Instant {
    Instant::now()
}

fn nanoseconds_each(spent: Duration, count: u128) -> u128 {
    spent.as_nanos() / count
}

fn measure(accounts: u64) {
    let mut world = World::founded();
    let bank = account(1);
    world.open(bank, AccountKind::Bank, "KRW");
    let mut opened = Duration::ZERO;
    let mut answers = Vec::new();
    for first in (0..accounts).step_by(4_000) {
        let numbers = first..(first + 4_000).min(accounts);
        let opens = numbers.clone().map(|n| open(wallet(n), AccountKind::Wallet, "KRW", ""));
        let top_ups = numbers.map(|number| {
            let id = id(0, u128::from(number));
            transfer(id, TransferKind::TopUp, (bank, wallet(number)), 1_000_000, "KRW")
        });
        let body = body(&opens.chain(top_ups).collect::<Vec<_>>());
        let head = head(world.ledger.position().unwrap() + 1, T0);
        let began = now();
        world.ledger.apply(&head, &body, &mut world.journal, &mut answers).unwrap();
        opened += began.elapsed();
        answers.clear();
    }
    let mut numbers = Numbers(1);
    transfers(&mut world, &mut numbers, accounts, 0..RECENT);
    let spent = transfers(&mut world, &mut numbers, accounts, RECENT..RECENT + MEASURED);
    println!(
        "{accounts} accounts, {RECENT} recent ids: {} ns a transfer; {} ns to open and top up",
        nanoseconds_each(spent, MEASURED),
        nanoseconds_each(opened, u128::from(accounts)),
    );
    let began = now();
    let digest = world.ledger.digest();
    println!("  digest {} ns ({:02x})", began.elapsed().as_nanos(), digest[0]);
    slices(&mut world);
}

/// What checkpoint and audit take, and the longest of their slices.
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
