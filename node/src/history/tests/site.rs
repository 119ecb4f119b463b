//! One node without a network: journal, ledger, history and keeper, mostly on a disk in memory.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use evenkeel_storage::{
    balances::MemoryCheckpoints,
    disk::{Disk, MemoryDisk},
    journal::{self, Journal, JournalOptions, NewRecord, Writer, WriterStep},
};
use evenkeel_wire::{
    codec,
    command::Command,
    entry::EntryBuilder,
    id::{CommandId, OPERATOR_KEY},
    outcome::{Answer, Outcome},
};

use super::watched_disk::{ReadWatch, WatchedDisk};
use crate::{
    history::record_kind,
    keeper::Keeper,
    replay::recovery::{Recovery, apply_record},
    state::AppliedState,
};
use evenkeel_ledger::EntryHead;

const CLUSTER: [u8; 16] = [7; 16];
/// The genesis entry's time, microseconds.
pub(crate) const T0: u64 = 1_700_000_000_000_000;

/// A command's answer as in the journal, for the slow model.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    pub(crate) head: EntryHead,
    pub(crate) number: u16,
    pub(crate) command: Command,
    pub(crate) outcome: Outcome,
    pub(crate) replayed: bool,
}

pub(crate) struct Site {
    /// Watches who reads files.
    watch: Option<Arc<ReadWatch>>,
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    pub(crate) journal: Journal,
    writer: Writer,
    pub(crate) state: Arc<AppliedState>,
    keeper: Keeper,
    checkpoints: MemoryCheckpoints,
    segment_bytes: u64,
    pub(crate) given: Vec<Given>,
    /// Whether `given` is filled.
    pub(crate) keeps_given: bool,
    /// The next entry's time.
    pub(crate) now: u64,
}

impl Site {
    pub(crate) fn new(segment_bytes: u64) -> Self {
        let disk = MemoryDisk::new(1);
        disk.create_folder(Path::new("/data")).unwrap();
        disk.sync_folder(Path::new("/")).unwrap();
        Self::on(Arc::new(disk), Path::new("/data"), segment_bytes)
    }

    /// A site whose entries must not read files while they're applied.
    pub(crate) fn watched(segment_bytes: u64) -> (Self, Arc<ReadWatch>) {
        let disk = MemoryDisk::new(1);
        disk.create_folder(Path::new("/data")).unwrap();
        disk.sync_folder(Path::new("/")).unwrap();
        let watch = Arc::new(ReadWatch::default());
        let disk = WatchedDisk { disk: Arc::new(disk), watch: watch.clone() };
        let site = Self::on(Arc::new(disk), Path::new("/data"), segment_bytes);
        (Self { watch: Some(watch.clone()), ..site }, watch)
    }

    /// A site on this disk, with an existing empty folder.
    pub(crate) fn on(disk: Arc<dyn Disk>, folder: &Path, segment_bytes: u64) -> Self {
        let checkpoints = MemoryCheckpoints::new(1);
        Self::open((disk, folder.to_owned()), checkpoints, segment_bytes, Vec::new(), T0)
    }

    fn open(
        (disk, folder): (Arc<dyn Disk>, PathBuf),
        checkpoints: MemoryCheckpoints,
        segment_bytes: u64,
        given: Vec<Given>,
        now: u64,
    ) -> Self {
        // A small tail, so that commands are read from files too.
        let tail_bytes_max = usize::try_from(segment_bytes / 4).unwrap();
        let options =
            JournalOptions { segment_bytes, tail_bytes_max, ..JournalOptions::new(CLUSTER) };
        let (journal, writer, _) = journal::open(disk.clone(), &folder, options).unwrap();
        let mut loaded = checkpoints.reopen();
        let recovered = Recovery {
            disk: disk.clone(),
            journal: journal.clone(),
            checkpoints: &mut loaded,
            progress: &mut |_, _| (),
        };
        let recovered = recovered.run().unwrap();
        assert_eq!(recovered.report.checkpoint_refused, None);
        let state = recovered.state;
        // The commit position was in memory only; a primary reports it again.
        let next = state.position().map_or(0, |position| position + 1);
        for record in journal.read(next, u64::MAX, usize::MAX).unwrap() {
            journal.set_committed(record.position);
            apply_record(&state, &record).unwrap();
        }
        let keeper = Keeper::new(
            state.clone(),
            state.history().clone(),
            journal.clone(),
            disk.clone(),
            Box::new(loaded),
            Box::new(|_| panic!("no checkpoint fails here")),
            Box::new(|_| ()),
        );
        let keeps_given = true;
        Self {
            watch: None,
            disk,
            folder,
            journal,
            writer,
            state,
            keeper,
            checkpoints,
            segment_bytes,
            given,
            keeps_given,
            now,
        }
    }

    /// Stops the site and restarts it from its disk.
    pub(crate) fn restart(self) -> Self {
        let Self { watch, disk, folder, checkpoints, segment_bytes, given, now, .. } = self;
        drop((self.journal, self.writer));
        let site = Self::open((disk, folder), checkpoints, segment_bytes, given, now);
        Self { watch, ..site }
    }

    /// Deletes the oldest segment's index.
    pub(crate) fn lose_an_index(&mut self) {
        let lost = self.folder.join("journal/00000000000000000000.index");
        self.disk.remove(&lost).unwrap();
    }

    /// Appends an entry of groups, each atomic or not. Returns the answers.
    pub(crate) fn entry(&mut self, groups: &[(bool, Vec<Command>)]) -> Vec<Answer> {
        let mut builder = EntryBuilder::new();
        for (atomic, commands) in groups {
            let bytes: Vec<u8> = commands.iter().flat_map(codec::encode).collect();
            builder.push(OPERATOR_KEY, *atomic, u32::try_from(commands.len()).unwrap(), &bytes);
        }
        let head = self.append(record_kind::COMMANDS, builder.finish().into());
        let record = &self.journal.read(head.position, head.position + 1, 0).unwrap()[0];
        let needed = self.state.find_lookups(&record.payload);
        let resolved = self.state.history_reader().resolve_lookups(&needed);
        let apply = || self.state.apply_resolved(&head, &record.payload, resolved).unwrap();
        let answers = match &self.watch {
            Some(watch) => {
                let (reads, answers) = watch.reads_during(apply);
                assert_eq!(reads, 0, "entry {} read files: {groups:?}", head.position);
                answers
            }
            None => apply(),
        };
        if !self.keeps_given {
            return answers;
        }
        let commands = groups.iter().flat_map(|(_, commands)| commands);
        for (number, (command, answer)) in (0..).zip(commands.zip(&answers)) {
            let (command, outcome) = (command.clone(), answer.outcome);
            let replayed = answer.first.is_some();
            self.given.push(Given { head, number, command, outcome, replayed });
        }
        answers
    }

    /// Appends an entry of independent commands.
    pub(crate) fn commands(&mut self, commands: &[Command]) -> Vec<Answer> {
        self.entry(&[(false, commands.to_vec())])
    }

    /// Appends one command, which must be committed.
    pub(crate) fn committed(&mut self, command: Command) -> Outcome {
        let outcome = self.commands(&[command])[0].outcome;
        assert_eq!(outcome.rejection, None);
        outcome
    }

    /// Appends an entry without commands.
    pub(crate) fn blank(&mut self) {
        let head = self.append(record_kind::BLANK, Bytes::new());
        self.state.skip_entry(&head).unwrap();
    }

    pub(crate) fn append(&mut self, kind: u8, payload: Bytes) -> EntryHead {
        let position = self.journal.newest_tip().map_or(0, |tip| tip.position + 1);
        let (term, time) = (1 + position / 40, self.now);
        self.now += 1_000;
        let record = NewRecord { position, term, time, kind, payload };
        self.journal.append(vec![record], Box::new(|done| done.unwrap())).unwrap();
        while self.writer.step(usize::MAX) == WriterStep::Worked {}
        self.journal.set_committed(position);
        let link = self.journal.newest_tip().unwrap().link.0;
        EntryHead { position, term, time, link }
    }

    /// One turn of the keeper: the recent index, then a segment or a slice of a checkpoint.
    pub(crate) fn turn(&mut self) {
        self.keeper.run_turn().unwrap();
    }

    /// Seals every full segment, and finishes checkpoints.
    pub(crate) fn seal(&mut self) {
        while self.journal.oldest_rolled().is_some() {
            self.turn();
        }
        for _ in 0..200 {
            self.turn();
        }
    }

    /// An id with the current time.
    pub(crate) fn id(&self, random: u128) -> CommandId {
        CommandId::from_parts(self.now / 1_000, random)
    }

    pub(crate) fn newest(&self) -> u64 {
        self.state.position().unwrap()
    }
}
