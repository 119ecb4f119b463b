//! The timeline: a lasting record of this node's role changes, lost and found peers, elections,
//! switchovers, alarms and admin acts. One JSON object a line in `timeline.jsonl`, each made
//! durable within moments.
//!
//! Two files at most, 8 MiB each: a full one becomes `timeline.1.jsonl`. A line torn by a crash
//! stays in the file and is skipped when read. It never holds balances, and nothing but people and
//! their tools reads it.

mod file;

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::oneshot;

use super::fields::SiteNames;
use crate::clock::{Clock, format_time};
use file::TimelineFile;

/// The target of its log lines. They are never alarms: an alarm is written to the timeline.
pub(super) const LOG_TARGET: &str = module_path!();

/// Events that may wait for the disk. More than that means a hanging disk, which is logged.
const QUEUE_MAX: usize = 1_024;
/// The most events that one read returns: the newest of them.
pub const EVENTS_MAX: usize = 10_000;

/// An event of this node. `GET /timeline` returns a list of these, oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimelineEvent {
    pub time: String,
    pub event: String,
    #[serde(flatten)]
    pub details: Map<String, Value>,
}

/// Why an event isn't on disk.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TimelineError {
    /// The write failed.
    #[error("the timeline can't be written: {0}")]
    Write(String),
    /// The disk is too slow.
    #[error("the timeline's queue of {QUEUE_MAX} events is full: the disk doesn't keep up")]
    Full,
    /// The node is stopping.
    #[error("the timeline is closed")]
    Closed,
}

struct QueuedEvent {
    event: TimelineEvent,
    written: Option<Written>,
}

/// Who waits until an event is on disk.
enum Written {
    Task(oneshot::Sender<Result<(), TimelineError>>),
    Thread(SyncSender<Result<(), TimelineError>>),
}

impl Written {
    fn report(self, result: Result<(), TimelineError>) {
        // The caller may be gone.
        match self {
            Self::Task(task) => drop(task.send(result)),
            Self::Thread(thread) => drop(thread.try_send(result)),
        }
    }
}

/// Records events; clones write to the same file.
#[derive(Clone)]
pub struct Timeline {
    queue: SyncSender<QueuedEvent>,
    clock: Arc<dyn Clock>,
    folder: PathBuf,
    names: Arc<SiteNames>,
    /// The last event is recorded: what still runs records no more.
    ended: Arc<AtomicBool>,
}

impl Timeline {
    /// Opens the timeline of a data folder and starts its writer thread. The thread ends with the
    /// last clone.
    ///
    /// # Errors
    /// When the file can't be opened.
    pub fn open(folder: &Path, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let file = TimelineFile::open(folder)?;
        let (queue, notes) = sync_channel(QUEUE_MAX);
        thread::Builder::new().name("timeline".into()).spawn(move || run_writer(file, &notes))?;
        let (folder, names, ended) = (folder.to_owned(), Arc::default(), Arc::default());
        Ok(Self { queue, clock, folder, names, ended })
    }

    /// The same timeline, whose events name the site beside a node's number.
    #[must_use]
    pub fn with_names(self, names: SiteNames) -> Self {
        Self { names: Arc::new(names), ..self }
    }

    /// Records an event without waiting. When the disk is too slow, the event is lost and a log
    /// line says so. `details` is a JSON object.
    pub fn record(&self, event: &str, details: Value) {
        if self.ended.load(Ordering::Acquire) {
            return;
        }
        if let Err(error) = self.queue_event(event, details, None) {
            tracing::warn!(event, %error, "an event is missing from the timeline");
        }
    }

    /// Records an event and returns when it's on disk.
    ///
    /// # Errors
    /// When it isn't on disk: the act that it announces must not take effect.
    pub async fn record_durably(&self, event: &str, details: Value) -> Result<(), TimelineError> {
        if self.ended.load(Ordering::Acquire) {
            return Err(TimelineError::Closed);
        }
        let (written, answer) = oneshot::channel();
        self.queue_event(event, details, Some(Written::Task(written)))?;
        answer.await.map_err(|_| TimelineError::Closed)?
    }

    /// The same for a process that ends: waits for the disk, but not for ever. Later events are
    /// ignored, so that the next start finds this one last. Blocks.
    pub fn record_last(&self, event: &str, details: Value, patience: Duration) {
        if self.ended.swap(true, Ordering::AcqRel) {
            return;
        }
        let (written, answer) = sync_channel(1);
        let written = Written::Thread(written);
        if let Err(error) = self.queue_event(event, details, Some(written)) {
            return tracing::warn!(event, %error, "an event is missing from the timeline");
        }
        let _written_or_late = answer.recv_timeout(patience);
    }

    /// The newest event of earlier runs and of this one. Blocks.
    ///
    /// # Errors
    /// When a file can't be read.
    pub fn last_event(&self) -> io::Result<Option<TimelineEvent>> {
        Ok(file::read(&self.folder, 1, |_| true)?.pop())
    }

    /// The events recorded between two times (microseconds since the Unix epoch), both included,
    /// oldest first. Blocks.
    ///
    /// # Errors
    /// When a file can't be read.
    pub fn read(&self, since: Option<u64>, until: Option<u64>) -> io::Result<Vec<TimelineEvent>> {
        let since = since.map(format_time).unwrap_or_default();
        let until = until.map(format_time);
        // All texts have one form and one zone, so they sort as the times do.
        file::read(&self.folder, EVENTS_MAX, |event| {
            event.time >= since && until.as_ref().is_none_or(|until| event.time <= *until)
        })
    }

    fn queue_event(
        &self,
        event: &str,
        details: Value,
        written: Option<Written>,
    ) -> Result<(), TimelineError> {
        let mut details = match details {
            Value::Object(details) => details,
            Value::Null => Map::new(),
            other => Map::from_iter([("detail".to_owned(), other)]),
        };
        let number = |field: &&str| details.get(*field).and_then(Value::as_u64);
        let node = ["primary", "to", "node"].iter().find_map(number);
        if let Some(node) = node.filter(|_| !details.contains_key("site")) {
            details.insert("site".to_owned(), self.names.name_of(node).into());
        }
        let event = TimelineEvent {
            time: format_time(self.clock.wall_micros()),
            event: event.to_owned(),
            details,
        };
        self.queue.try_send(QueuedEvent { event, written }).map_err(|error| match error {
            TrySendError::Full(_) => TimelineError::Full,
            TrySendError::Disconnected(_) => TimelineError::Closed,
        })
    }
}

/// Writes the events; all that wait are made durable with one sync.
fn run_writer(mut file: TimelineFile, notes: &Receiver<QueuedEvent>) {
    while let Ok(first) = notes.recv() {
        let batch: Vec<QueuedEvent> = std::iter::once(first).chain(notes.try_iter()).collect();
        let result = file
            .append(batch.iter().map(|note| &note.event))
            .map_err(|error| TimelineError::Write(error.to_string()));
        if let Err(error) = &result {
            tracing::error!(%error, events = batch.len(), "events are missing from the timeline");
        }
        for written in batch.into_iter().filter_map(|note| note.written) {
            written.report(result.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    struct StoppedClock;
    impl Clock for StoppedClock {
        fn wall_micros(&self) -> u64 {
            1_760_000_000_000_000
        }
    }

    fn open(folder: &Path) -> Timeline {
        Timeline::open(folder, Arc::new(StoppedClock)).expect("a timeline")
    }

    #[tokio::test]
    async fn what_was_recorded_is_read_again_after_a_restart() {
        let folder = tempfile::tempdir().expect("a folder");
        open(folder.path())
            .record_durably("became_primary", json!({"term": 3}))
            .await
            .expect("written");
        let timeline = open(folder.path());
        timeline.record_durably("peer_lost", json!({"site": "busan"})).await.expect("written");
        let events = timeline.read(None, None).expect("readable");
        let names: Vec<&str> = events.iter().map(|event| event.event.as_str()).collect();
        assert_eq!(names, ["became_primary", "peer_lost"]);
        assert_eq!(events[0].details["term"], 3);
        let now = StoppedClock.wall_micros();
        assert_eq!(timeline.read(Some(now), Some(now)).expect("readable").len(), 2);
        assert!(timeline.read(Some(now + 1), None).expect("readable").is_empty());
        assert!(timeline.read(None, Some(now - 1)).expect("readable").is_empty());
    }

    #[tokio::test]
    async fn nothing_follows_the_last_event() {
        let folder = tempfile::tempdir().expect("a folder");
        let timeline = open(folder.path());
        timeline.record("started", Value::Null);
        timeline.record_last("stopped", Value::Null, Duration::from_secs(5));
        timeline.record("lost_peer", json!({"node": 2}));
        timeline.record_last("stopped_by_itself", Value::Null, Duration::from_secs(5));
        timeline.record_durably("flushed", Value::Null).await.expect_err("it has ended");
        let last = open(folder.path()).last_event().expect("readable").expect("an event");
        assert_eq!(last.event, "stopped");
    }

    #[tokio::test]
    async fn an_act_that_cannot_be_written_is_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        let timeline = open(folder.path());
        timeline.record_durably("first", Value::Null).await.expect("written");
        file::fill_with_a_folder(folder.path());
        let error = timeline.record_durably("second", Value::Null).await.expect_err("no file");
        assert!(error.to_string().starts_with("the timeline can't be written"), "{error}");
    }
}
