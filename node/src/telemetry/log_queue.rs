//! The log's writer: lines wait in a queue of bounded size for one thread, which may block on
//! stderr. When the queue is full, new lines are dropped, counted, and reported as an alarm.
//!
//! Nobody who logs ever waits: a pipe that nobody reads must not hold back replication. (No
//! library: tracing-appender bounds lines, not bytes, and at its end prints to the blocked stream.)

use std::{
    io::{self, Write},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use serde_json::{Map, Value};

use super::alarms::Alarms;
use crate::limits::LOG_BYTES_MAX;

/// The kind of the alarm.
pub(super) const LOG_DROPPED: &str = "log_dropped";

/// The queue; clones share it.
#[derive(Clone)]
pub(super) struct LogQueue(Arc<Shared>);

struct Shared {
    pending: Mutex<PendingLines>,
    wake: Condvar,
    written: Condvar,
    alarms: Alarms,
}

#[derive(Default)]
struct PendingLines {
    bytes: Vec<u8>,
    /// The writer holds lines that it has taken.
    is_writing: bool,
    /// Lines dropped since the writer last reported it.
    dropped: u64,
}

impl LogQueue {
    /// Starts the writer's thread, which ends with the process.
    pub(super) fn start(to: Box<dyn Write + Send>, alarms: Alarms) -> io::Result<Self> {
        let (wake, written) = (Condvar::new(), Condvar::new());
        let shared = Arc::new(Shared { pending: Mutex::default(), wake, written, alarms });
        let writer = shared.clone();
        thread::Builder::new().name("log".into()).spawn(move || writer.run(to))?;
        Ok(Self(shared))
    }

    /// Appends a line, or drops it.
    pub(super) fn push(&self, line: &[u8]) {
        let mut pending = self.0.lock();
        if pending.bytes.len() + line.len() <= LOG_BYTES_MAX {
            pending.bytes.extend_from_slice(line);
            self.0.wake.notify_one();
            return;
        }
        pending.dropped += 1;
        let first = pending.dropped == 1;
        drop(pending);
        if first {
            let what =
                "the reader of this node's stderr doesn't keep up: lines of the log are dropped";
            let alarm = [("kind", LOG_DROPPED), ("what", what)];
            let alarm = alarm.map(|(name, text)| (name.to_owned(), Value::from(text)));
            self.0.alarms.record(Map::from_iter(alarm));
        }
    }

    /// Waits until all lines are written; `false`: they aren't within `patience`.
    pub(super) fn flush(&self, patience: Duration) -> bool {
        let busy = |pending: &mut PendingLines| pending.is_writing || !pending.bytes.is_empty();
        let waited = self.0.written.wait_timeout_while(self.0.lock(), patience, busy);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, PendingLines> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, mut to: Box<dyn Write + Send>) {
        loop {
            let lines = self.take_lines();
            write_all(&mut *to, &lines);
            let mut pending = self.lock();
            pending.is_writing = false;
            let dropped = std::mem::take(&mut pending.dropped);
            drop(pending);
            if dropped > 0 {
                tracing::error!(
                    kind = LOG_DROPPED,
                    lines = dropped,
                    "lines of this log were dropped: the reader of stderr didn't keep up"
                );
            }
            self.written.notify_all();
        }
    }

    fn take_lines(&self) -> Vec<u8> {
        let empty = |pending: &mut PendingLines| pending.bytes.is_empty();
        let waited = self.wake.wait_while(self.lock(), empty);
        let mut pending = waited.unwrap_or_else(PoisonError::into_inner);
        pending.is_writing = true;
        std::mem::take(&mut pending.bytes)
    }
}

/// Writes all bytes, to a stream that may be set to return at once where it would block. What a
/// closed stream refuses is lost.
fn write_all(to: &mut dyn Write, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match to.write(bytes) {
            Ok(0) => return,
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                thread::sleep(Duration::from_millis(10));
            }
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use tokio::time::Instant;

    use super::*;

    #[test]
    fn a_pipe_that_nobody_reads_never_holds_back_who_logs() {
        let (mut reader, writer) = io::pipe().expect("a pipe");
        let alarms = Alarms::default();
        let queue = LogQueue::start(Box::new(writer), alarms.clone()).expect("a thread");
        let line = [b'x'; 1_000];
        let begun = Instant::now();
        for _ in 0..LOG_BYTES_MAX / 100 {
            queue.push(&line);
        }
        assert!(begun.elapsed() < Duration::from_secs(5), "it never waited");
        assert!(!queue.flush(Duration::from_millis(50)), "the pipe is full");
        assert_eq!(alarms.counts().get(LOG_DROPPED), Some(&1), "once for all of them");
        assert!(queue.0.lock().bytes.len() <= LOG_BYTES_MAX, "bounded");

        // The reader comes back: what was queued arrives, and the dropped lines are counted anew.
        let reading = thread::spawn(move || {
            let mut all = vec![0; 64 << 10];
            let mut bytes = 0;
            while bytes < LOG_BYTES_MAX - line.len() {
                bytes += reader.read(&mut all).expect("readable");
            }
        });
        assert!(queue.flush(Duration::from_secs(10)), "written");
        reading.join().expect("all that was queued arrives");
        assert_eq!(queue.0.lock().dropped, 0);
    }
}
