//! Measurements on request: `cargo test --release -p evenkeel-node --lib history::tests::measure --
//! --ignored --nocapture`.

#![expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use evenkeel_storage::disk::RealDisk;
use evenkeel_wire::{
    account::AccountKind,
    command::Command,
    id::{AccountId, CommandId},
    request::Cursor,
    transfer::TransferKind,
};

use super::{
    pages::page,
    play::Random,
    site::Site,
    words::{BANK, MERCHANTS, close_day, first_date, genesis, open, openings, refund, transfer},
};
use crate::history::{EventCursor, EventPage};

const ENTRIES: usize = 2_000;
const COMMANDS: usize = 1_000;
const PAYERS: usize = 10_000;
/// In every second command.
const HOT: AccountId = MERCHANTS[0];
/// In one command of each entry.
const SPARSE: AccountId = MERCHANTS[1];

fn payer(number: usize) -> AccountId {
    AccountId::new(1_000 + u128::try_from(number).unwrap())
}

struct Writer {
    serial: u128,
    random: Random,
    /// Payments to the sparse account.
    paid: Vec<CommandId>,
}

impl Writer {
    fn id(&mut self, site: &Site) -> CommandId {
        self.serial += 1;
        site.id(self.serial)
    }

    fn found(&mut self, site: &mut Site) {
        site.commands(&[genesis()]);
        site.commands(&openings());
        for from in (0..PAYERS).step_by(2_500) {
            let wallets: Vec<_> = (from..from + 2_500).map(payer).collect();
            let opened: Vec<_> =
                wallets.iter().map(|wallet| open(*wallet, AccountKind::Wallet)).collect();
            site.commands(&opened);
            let money = |wallet: &AccountId| {
                transfer(self.id(site), TransferKind::TopUp, BANK, *wallet, 1_000_000)
            };
            let money: Vec<Command> = wallets.iter().map(money).collect();
            site.commands(&money);
        }
    }

    fn entry(&mut self, site: &mut Site) {
        let commands: Vec<_> = (0..COMMANDS)
            .map(|number| {
                let id = self.id(site);
                let from = payer(self.random.below(PAYERS));
                let (kind, to) = match number {
                    // A refund of an old payment, or a payment.
                    0 if !self.paid.is_empty() && self.paid.len().is_multiple_of(2) => {
                        let paid = self.paid[self.random.below(self.paid.len())];
                        self.paid.push(id);
                        return refund(id, paid, Some(1));
                    }
                    0 => {
                        self.paid.push(id);
                        (TransferKind::Payment, SPARSE)
                    }
                    _ if number % 2 == 0 => (TransferKind::Payment, HOT),
                    _ => (TransferKind::Transfer, payer(self.random.below(PAYERS))),
                };
                transfer(id, kind, from, to, 2)
            })
            .collect();
        site.commands(&commands);
    }
}

/// Calls `ask` many times and prints its durations.
fn times(what: &str, count: usize, mut ask: impl FnMut(usize)) {
    let mut all: Vec<Duration> = (0..count)
        .map(|number| {
            let start = Instant::now();
            ask(number);
            start.elapsed()
        })
        .collect();
    all.sort_unstable();
    let at = |percent: usize| all[(count - 1) * percent / 100];
    println!("{what}: p50 {:?}, p99 {:?}, worst {:?}", at(50), at(99), at(100));
}

fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

fn ask_for_pages(site: &Site, when: &str) {
    let newest = site.newest();
    let mut random = Random(4);
    for (name, account) in [("in every second command", HOT), ("once an entry", SPARSE)] {
        for limit in [100, 1_000] {
            times(&format!("{when}: newest page of {limit}, {name}"), 200, |_| {
                page(site, account, limit, None);
            });
            let mut items = 0;
            times(&format!("{when}: page of {limit} from anywhere, {name}"), 300, |_| {
                let position = u64::try_from(random.below(usize::try_from(newest).unwrap()));
                let before = Cursor { position: position.unwrap(), command: 9 };
                items += page(site, account, limit, Some(before)).items.len();
            });
            println!("  {} items a page", items / 300);
        }
    }
}

#[test]
#[ignore = "a measurement"]
fn a_million_movements_of_one_account() {
    let folder = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
    let mut site = Site::on(Arc::new(RealDisk), folder.path(), 64 << 20);
    site.keeps_given = false;
    let mut writer = Writer { serial: 0, random: Random(7), paid: Vec::new() };
    writer.found(&mut site);
    let start = Instant::now();
    for number in 0..ENTRIES {
        writer.entry(&mut site);
        // About as much as the keeper of a busy node gets done.
        if number % 10 == 0 && number < ENTRIES * 9 / 10 {
            site.turn();
        }
    }
    println!("{} commands written in {:.1} s", ENTRIES * COMMANDS, start.elapsed().as_secs_f64());

    let start = Instant::now();
    page(&site, SPARSE, 1, None);
    let behind = ENTRIES / 10 * COMMANDS;
    println!("noting {behind} commands: {:.1} ms", start.elapsed().as_secs_f64() * 1_000.0);
    println!("{} segments; resident {} MiB", site.journal.segments().len(), resident_mib());
    ask_for_pages(&site, "a part unsealed");
    site.seal();
    let before = resident_mib();
    ask_for_pages(&site, "sealed");
    println!("resident {before} MiB before, {} MiB after", resident_mib());
    times("newest page of 100 after each entry of 1,000", 200, |_| {
        page(&site, HOT, 100, None);
    });
    let mut asked = Vec::new();
    for _ in 0..200 {
        writer.entry(&mut site);
        let start = Instant::now();
        page(&site, HOT, 100, None);
        asked.push(start.elapsed().as_secs_f64() * 1_000.0);
    }
    asked.sort_by(f64::total_cmp);
    println!(
        "newest page right after an entry: p50 {:.2} ms, p99 {:.2} ms",
        asked[100], asked[198]
    );

    let (mut next, mut events) = (EventCursor::Start, 0);
    let start = Instant::now();
    loop {
        let told = site.state.events_after(next, 1_000).unwrap();
        let EventPage { events: some, next: place, more } = told;
        events += some.len();
        next = place;
        if !more {
            break;
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("{events} events in {seconds:.1} s: {:.0} a second", events as f64 / seconds);

    site.committed(close_day(first_date()));
    let start = Instant::now();
    let settlement = site.state.compute_settlement(first_date()).unwrap();
    assert_eq!(settlement.merchants.len(), 2);
    println!("settlement in {:.1} s", start.elapsed().as_secs_f64());
}
