//! The newest records in memory: all that aren't durable, and as many durable ones as fit.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::Position;
use crate::journal::format::record::Record;

/// The approximate memory of a record besides its payload, in bytes.
const RECORD_BYTES: usize = 160;

pub(crate) struct Tail {
    records: VecDeque<Arc<Record>>,
    bytes: usize,
    bytes_max: usize,
}

impl Tail {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { records: VecDeque::new(), bytes: 0, bytes_max }
    }

    pub(crate) fn push(&mut self, record: Arc<Record>) {
        self.bytes += memory_bytes(&record);
        self.records.push_back(record);
    }

    /// The position of the oldest record held.
    pub(crate) fn first(&self) -> Option<Position> {
        self.records.front().map(|record| record.position)
    }

    pub(crate) fn get(&self, position: Position) -> Option<&Arc<Record>> {
        let index = position.checked_sub(self.first()?)?;
        self.records.get(usize::try_from(index).ok()?)
    }

    /// Records from `from` up to `until` (exclusive) while their payloads fit in `room`; nothing if
    /// `from` isn't held. With `force` the first one is returned whatever its size.
    pub(crate) fn records_between(
        &self,
        from: Position,
        until: Position,
        room: usize,
        force: bool,
    ) -> Vec<Arc<Record>> {
        let mut found = Vec::new();
        let mut bytes = 0;
        for position in from..until {
            let Some(record) = self.get(position) else { break };
            bytes += record.payload.len();
            if bytes > room && !(force && found.is_empty()) {
                break;
            }
            found.push(Arc::clone(record));
        }
        found
    }

    /// Removes every record after `last`, or all if `last` is `None`.
    pub(crate) fn truncate_after(&mut self, last: Option<Position>) {
        while self.records.back().is_some_and(|record| Some(record.position) > last) {
            self.bytes -= self.records.pop_back().map_or(0, |record| memory_bytes(&record));
        }
    }

    /// Removes the oldest durable records until the rest fits, and returns them so that the caller
    /// drops them outside any lock.
    pub(crate) fn evict(&mut self, durable: Option<Position>) -> Vec<Arc<Record>> {
        let mut evicted = Vec::new();
        while self.bytes > self.bytes_max
            && self.first().is_some_and(|first| Some(first) <= durable)
        {
            if let Some(record) = self.records.pop_front() {
                self.bytes -= memory_bytes(&record);
                evicted.push(record);
            }
        }
        evicted
    }
}

fn memory_bytes(record: &Record) -> usize {
    record.payload.len() + RECORD_BYTES
}
