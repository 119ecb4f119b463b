//! The journal as the engine's log. It translates between the two and never touches files: what a
//! peer that catches up needs is read on another thread.
//!
//! It never purges: the journal is kept whole, and a request to purge is an error that stops the
//! node.

use std::{
    fmt::Debug,
    io,
    ops::{Bound, RangeBounds},
    sync::{Arc, Mutex, PoisonError},
};

use evenkeel_storage::journal::{NewRecord, Record};
use futures_util::{Stream, StreamExt, stream};
use openraft::{
    RaftLogReader,
    storage::{IOFlushed, LogState, RaftLogStorage},
};

use super::types::{
    EngineEntry, EngineTypes, LogId, Vote, entry_from_parts, entry_parts, log_id, term_of,
    vote_to_storage,
};
use crate::{
    limits::{APPEND_BYTES_MAX, READ_BYTES_MAX},
    replication::journal_reads::JournalReads,
    telemetry::panic_if_planted,
};

/// The engine's view of the journal. Clones share everything.
#[derive(Clone)]
pub struct LogStore {
    reads: JournalReads,
    vote: Arc<Mutex<Option<Vote>>>,
    committed: Option<LogId>,
}

impl LogStore {
    /// Over an open journal, with the vote and the committed position that were saved.
    pub fn new(reads: JournalReads, vote: Option<Vote>, committed: Option<LogId>) -> Self {
        Self { reads, vote: Arc::new(Mutex::new(vote)), committed }
    }

    fn vote(&self) -> Option<Vote> {
        *self.vote.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Entries from `start` on: about `bytes` at most, but at least one if there is any.
    async fn entries(
        &self,
        start: u64,
        end: u64,
        bytes: usize,
    ) -> Result<Vec<EngineEntry>, io::Error> {
        let records = self.reads.read(start, end, bytes).await?;
        records.iter().map(entry).collect()
    }

    fn check_link(&self, entry: &EngineEntry) -> Result<(), io::Error> {
        let openraft::EntryPayload::Normal(batch) = &entry.payload else { return Ok(()) };
        let Some(expected) = batch.expected_link else { return Ok(()) };
        let tip = self.reads.journal().newest_tip();
        let held = tip.filter(|tip| tip.position.checked_add(1) == Some(entry.log_id.index()));
        match held {
            Some(tip) if tip.link.0 != expected => Err(io::Error::other(format!(
                "this node's journal and the primary's differ at position {}: one of them is damaged; \
                 run `evenkeel verify` on both",
                tip.position
            ))),
            _ => Ok(()),
        }
    }
}

fn entry(record: &Arc<Record>) -> Result<EngineEntry, io::Error> {
    let id = log_id(record.term, record.position);
    entry_from_parts(id, record.time, record.kind, record.payload.clone(), None)
        .map_err(io::Error::other)
}

fn bounds(range: &impl RangeBounds<u64>) -> (u64, u64) {
    let start = match range.start_bound() {
        Bound::Included(start) => *start,
        Bound::Excluded(before) => before.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(last) => last.saturating_add(1),
        Bound::Excluded(end) => *end,
        Bound::Unbounded => u64::MAX,
    };
    (start, end)
}

impl RaftLogReader<EngineTypes> for LogStore {
    async fn try_get_log_entries<R>(&mut self, range: R) -> Result<Vec<EngineEntry>, io::Error>
    where
        R: RangeBounds<u64> + Clone + Debug + Send,
    {
        let (start, end) = bounds(&range);
        let mut entries: Vec<EngineEntry> = Vec::new();
        let mut next = start;
        while next < end {
            let more = self.entries(next, end, READ_BYTES_MAX).await?;
            let Some(last) = more.last() else { break };
            next = last.log_id.index() + 1;
            entries.extend(more);
        }
        Ok(entries)
    }

    async fn entries_stream<R>(
        &mut self,
        range: R,
    ) -> impl Stream<Item = Result<EngineEntry, io::Error>> + Send
    where
        R: RangeBounds<u64> + Clone + Debug + Send,
    {
        // In pieces: a peer that is far behind may need more entries than fit in memory.
        let (start, end) = bounds(&range);
        let pieces = stream::unfold((self.clone(), start), move |(store, next)| async move {
            if next >= end {
                return None;
            }
            match store.entries(next, end, READ_BYTES_MAX).await {
                Ok(entries) => {
                    let next = entries.last()?.log_id.index() + 1;
                    let items: Vec<_> = entries.into_iter().map(Ok).collect();
                    Some((stream::iter(items), (store, next)))
                }
                Err(error) => Some((stream::iter(vec![Err(error)]), (store, end))),
            }
        });
        pieces.flatten().boxed()
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        Ok(self.vote())
    }

    async fn limited_get_log_entries(
        &mut self,
        start: u64,
        end: u64,
    ) -> Result<Vec<EngineEntry>, io::Error> {
        self.entries(start, end, APPEND_BYTES_MAX).await
    }
}

impl RaftLogStorage<EngineTypes> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<EngineTypes>, io::Error> {
        let last = self.reads.journal().newest_tip().map(|tip| log_id(tip.term, tip.position));
        Ok(LogState { last_purged_log_id: None, last_log_id: last })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        let (done, durable) = tokio::sync::oneshot::channel();
        let completion = Box::new(move |result| {
            let _receiver_gone = done.send(result);
        });
        self.reads
            .journal()
            .save_vote(vote_to_storage(vote), completion)
            .map_err(io::Error::other)?;
        durable
            .await
            .map_err(|_| io::Error::other("the journal's writer is gone"))?
            .map_err(io::Error::other)?;
        *self.vote.lock().unwrap_or_else(PoisonError::into_inner) = Some(*vote);
        Ok(())
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        if let Some(id) = committed {
            self.reads.journal().set_committed(id.index());
        }
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        Ok(self.committed)
    }

    async fn append<I>(
        &mut self,
        entries: I,
        callback: IOFlushed<EngineTypes>,
    ) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = EngineEntry> + Send,
        I::IntoIter: Send,
    {
        panic_if_planted("engine");
        let mut records = Vec::new();
        for entry in entries {
            if records.is_empty() {
                self.check_link(&entry)?;
            }
            let (time, kind, payload) = entry_parts(&entry);
            records.push(NewRecord {
                position: entry.log_id.index(),
                term: term_of(&entry.log_id),
                time,
                kind,
                payload,
            });
        }
        let completion = Box::new(move |result: Result<(), _>| {
            callback.io_completed(result.map_err(io::Error::other))
        });
        self.reads.journal().append(records, completion).map_err(io::Error::other)
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> Result<(), io::Error> {
        // The queue keeps the order: later appends become durable after the truncation.
        self.reads
            .journal()
            .truncate_after(last.map(|id| id.index()), Box::new(|_| ()))
            .map_err(io::Error::other)
    }

    async fn purge(&mut self, id: LogId) -> Result<(), io::Error> {
        Err(io::Error::other(format!("asked to purge the journal up to {id}: it's never purged")))
    }
}
