//! The common setup of the index tests: a segment, and answers computed from all its commands.

mod crash;
mod damage;
mod golden;
mod measure;
mod model;
mod node;

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::{CommandRow, IndexBuilder, LocatedCommand, OutcomeRow, Part, SegmentIndex};
use crate::Position;
use crate::disk::{Disk, MemoryDisk};

pub(crate) const FOLDER: &str = "/data/journal";

/// A segment's commands, record by record, and the answers of a linear search.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) first: Position,
    pub(crate) records: Vec<Vec<CommandRow>>,
}

impl Segment {
    pub(crate) fn last(&self) -> Position {
        self.first + u64::try_from(self.records.len()).unwrap() - 1
    }

    pub(crate) fn build(&self, disk: &dyn Disk) -> io::Result<()> {
        self.build_at_pace(disk, &mut |_| ())
    }

    pub(crate) fn build_at_pace(
        &self,
        disk: &dyn Disk,
        pace: &mut dyn FnMut(usize),
    ) -> io::Result<()> {
        let mut builder = IndexBuilder::new(self.first);
        for (position, commands) in (self.first..).zip(&self.records) {
            builder.begin_record(position, u32::try_from(commands.len()).unwrap());
            commands.iter().for_each(|command| builder.add_command(command));
        }
        builder.finish(disk, Path::new(FOLDER), pace)
    }

    pub(crate) fn find(&self, id: u128) -> Option<LocatedCommand> {
        self.located()
            .find(|(command, _)| id != 0 && (command.id == id || command.alias_id == id))
            .map(|(_, at)| at)
    }

    pub(crate) fn history(
        &self,
        account: u128,
        before: Option<(Position, u16)>,
        limit: usize,
    ) -> Vec<LocatedCommand> {
        let mut all: Vec<_> = self
            .located()
            .filter(|(c, _)| c.debit == Some(account) || c.credit == Some(account))
            .map(|(_, at)| at)
            .filter(|at| before.is_none_or(|before| (at.position, at.command) < before))
            .collect();
        all.reverse();
        all.truncate(limit);
        all
    }

    pub(crate) fn command(&self, position: Position, command: u16) -> Option<LocatedCommand> {
        let record = usize::try_from(position.checked_sub(self.first)?).unwrap();
        let row = self.records.get(record)?.get(usize::from(command))?;
        Some(LocatedCommand { position, command, outcome: row.outcome, part: row.part })
    }

    pub(crate) fn outcomes(&self, position: Position) -> Option<Vec<OutcomeRow>> {
        let record = usize::try_from(position.checked_sub(self.first)?).unwrap();
        Some(self.records.get(record)?.iter().map(|command| command.outcome).collect())
    }

    pub(crate) fn located(&self) -> impl Iterator<Item = (&CommandRow, LocatedCommand)> {
        (self.first..).zip(&self.records).flat_map(|(position, commands)| {
            (0_u16..).zip(commands).map(move |(command, row)| {
                (row, LocatedCommand { position, command, outcome: row.outcome, part: row.part })
            })
        })
    }
}

pub(crate) fn disk(seed: u64) -> MemoryDisk {
    let disk = MemoryDisk::new(seed);
    disk.create_folder(Path::new(FOLDER)).unwrap();
    disk.sync_folder(Path::new("/data")).unwrap();
    disk
}

pub(crate) fn open(disk: &MemoryDisk, first: Position) -> SegmentIndex {
    SegmentIndex::open(Arc::new(disk.clone()), Path::new(FOLDER), first).unwrap()
}

/// A UUIDv7 of a millisecond; `random` distinguishes ids of one millisecond.
pub(crate) fn id_at(millisecond: u64, random: u64) -> u128 {
    let version = (0x7 << 76) | (0b10 << 62);
    (u128::from(millisecond) << 80) | version | u128::from(random & 0xffff_ffff)
}

/// An alias id, made from a command's own id.
pub(crate) fn also_of(id: u128) -> u128 {
    id ^ (0xf << 76)
}

/// A reproducible sequence of pseudorandom numbers.
pub(crate) struct Scatter(pub(super) u64);

impl Scatter {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 ^ (self.0 >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 13
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// A segment of `records` records with up to `commands_max` commands each, over few accounts, one
/// of them hot.
pub(crate) fn segment(first: Position, records: u64, commands_max: u64, seed: u64) -> Segment {
    let mut scatter = Scatter(seed);
    let mut millisecond = 1_790_000_000_000 + first * 10;
    let records = (0..records).map(|_| {
        let commands = scatter.below(commands_max + 1);
        let rows = (0..commands).map(|_| {
            millisecond += scatter.below(4);
            let far = scatter.below(300);
            let days_ago = 86_400_000 * scatter.below(30);
            CommandRow {
                id: if far == 0 { 0 } else { id_at(millisecond, scatter.next()) },
                alias_id: if far < 30 { also_of(id_at(millisecond - days_ago, far)) } else { 0 },
                debit: Some(u128::from(1 + scatter.below(400)) << 64),
                credit: Some(if far.is_multiple_of(2) { 7 } else { u128::from(scatter.below(3)) })
                    .filter(|credit| *credit != 0),
                outcome: OutcomeRow {
                    code: u8::try_from(scatter.below(256)).unwrap(),
                    flags: u8::try_from(scatter.below(4)).unwrap(),
                    index: u16::try_from(scatter.below(8192)).unwrap(),
                    amount: scatter.next(),
                    debit_after: scatter.next().cast_signed(),
                    credit_after: -scatter.next().cast_signed(),
                },
                part: Part {
                    offset: u32::try_from(scatter.below(1 << 22)).unwrap(),
                    bytes: u32::try_from(scatter.below(300)).unwrap(),
                    checksum: u32::try_from(scatter.below(1 << 32)).unwrap(),
                },
            }
        });
        rows.collect()
    });
    Segment { first, records: records.collect() }
}
