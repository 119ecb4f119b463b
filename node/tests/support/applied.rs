//! An applied state without a cluster: entries of commands applied to a ledger, on a disk in
//! memory.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::{path::Path, sync::Arc};

use evenkeel_ledger::EntryHead;
use evenkeel_node::{admission::key_hash, replay::recovery::Recovery, state::AppliedState};
use evenkeel_storage::{
    balances::MemoryCheckpoints,
    disk::{Disk, MemoryDisk},
    journal::{self, Journal, JournalOptions},
};
use evenkeel_wire::{
    amount::Asset,
    codec,
    command::Command,
    day::BusinessDate,
    entry::EntryBuilder,
    genesis::Genesis,
    id::{ClusterId, KeyId, NODES, OPERATOR_KEY},
    limits::COMMANDS_MAX,
    outcome::Outcome,
    transfer::Text,
};

/// The text of the operator's key.
pub(crate) const OPERATOR: &str = "an operator";

/// The time of genesis: 2026-11-26, 23:00 in Seoul, microseconds since the Unix epoch.
pub(crate) const FOUNDED: u64 = 1_795_701_600_000_000;

pub(crate) struct Applied {
    pub(crate) state: Arc<AppliedState>,
    pub(crate) journal: Journal,
    next: u64,
    time: u64,
}

impl Applied {
    pub(crate) fn founded() -> Self {
        let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new(1));
        let (journal, ..) =
            journal::open(disk.clone(), Path::new("/data"), JournalOptions::new([7; 16]))
                .expect("an empty disk opens");
        let mut checkpoints = MemoryCheckpoints::new(1);
        let recovered = Recovery {
            disk,
            journal: journal.clone(),
            checkpoints: &mut checkpoints,
            progress: &mut |_, _| (),
        }
        .run()
        .expect("nothing to recover");
        let mut applied = Self { state: recovered.state, journal, next: 0, time: FOUNDED };
        let genesis = Genesis {
            cluster: ClusterId([7; 16]),
            assets: vec![won()],
            wallet_max_balance: 2_000_000,
            id_horizon_ms: 604_800_000,
            id_tolerance_ms: 300_000,
            time_zone: Text::new("Asia/Seoul").expect("short"),
            operator_key: key_hash(OPERATOR),
            first_date: BusinessDate::parse("2026-11-26").expect("a date"),
        };
        applied.client(&[Command::Genesis(Box::new(genesis))]);
        applied
    }

    /// Applies an entry of commands with the operator's key.
    pub(crate) fn client(&mut self, commands: &[Command]) -> Vec<Outcome> {
        commands.chunks(COMMANDS_MAX).flat_map(|some| self.group(OPERATOR_KEY, some)).collect()
    }

    /// Applies an entry of commands from a node.
    pub(crate) fn node(&mut self, commands: &[Command]) -> Vec<Outcome> {
        self.group(NODES, commands)
    }

    fn group(&mut self, key: KeyId, commands: &[Command]) -> Vec<Outcome> {
        let bytes: Vec<u8> = commands.iter().flat_map(codec::encode).collect();
        let mut entry = EntryBuilder::new();
        entry.push(key, false, u32::try_from(commands.len()).expect("a few"), &bytes);
        self.apply(entry)
    }

    /// Applies an entry that is already built.
    pub(crate) fn apply(&mut self, entry: EntryBuilder) -> Vec<Outcome> {
        let head = EntryHead { position: self.next, term: 1, time: self.time, link: [1; 32] };
        self.next += 1;
        let answers = self.state.apply(&head, &entry.finish()).expect("the ledger works");
        answers.iter().map(|answer| answer.outcome).collect()
    }

    /// Sets the time of the next entries.
    pub(crate) fn at(&mut self, time: u64) {
        self.time = time;
    }
}

pub(crate) fn won() -> Asset {
    Asset::parse("KRW").expect("a name")
}
