//! The checkpoint in sled, on its own thread.
//!
//! sled can panic, and it can block forever (an I/O thread that panics or meets a full disk leaves
//! its waiters asleep). So every call runs on one thread that catches panics, and the caller waits
//! a limited time. After an error that leaves the state of the table unknown the handle is closed
//! permanently.
//!
//! Dropping the handle waits until sled is closed and its file unlocked: the folder can then be
//! renamed and opened again in the same process. A thread that never ends is left running with its
//! open files, which are then in quarantine. The panic hook still prints a caught panic.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use super::generations::Generations;
use super::sled_table::{SledTable, wait_until_released};
use super::{CheckpointError, Checkpoints, Marker, Row};

/// The number of rows that `load` receives from sled's thread at once.
const LOAD_ROWS: usize = 1024;
const LOAD_CHUNKS: usize = 4;

type SledJob = Box<dyn FnOnce(&mut Generations<SledTable>) + Send>;

/// How long sled may take before it counts as stalled.
#[derive(Clone, Copy, Debug)]
pub struct SledTimeouts {
    /// Opening. sled may read its whole file.
    pub open: Duration,
    /// One call; in `load`, one chunk of rows.
    pub call: Duration,
    /// Closing, flush included.
    pub close: Duration,
}

impl Default for SledTimeouts {
    fn default() -> Self {
        Self {
            open: Duration::from_secs(120),
            call: Duration::from_secs(120),
            close: Duration::from_secs(20),
        }
    }
}

/// The checkpoint in a folder. Made by [`super::open`].
#[derive(Debug)]
pub struct SledCheckpoints {
    folder: PathBuf,
    limits: SledTimeouts,
    /// `None` once closed.
    jobs: Option<SyncSender<SledJob>>,
    /// Disconnects when the thread has closed sled.
    ended: Receiver<()>,
    closed_by: String,
}

enum Loading {
    Rows(Vec<Row>),
    Done(Result<Option<Marker>, CheckpointError>),
}

/// The thread that calls sled.
const THREAD: &str = "balances";

/// Whether panics of the thread with this name are contained: those of sled's own threads, and of
/// the one that calls it. Whatever they leave behind is damage, and is rebuilt.
#[must_use]
pub fn contains_panics(thread: &str) -> bool {
    thread == THREAD || thread == "log flusher" || thread.starts_with("sled-")
}

impl SledCheckpoints {
    /// Opens a checkpoint with other timeouts than the default ones.
    pub fn open(folder: &Path, limits: SledTimeouts) -> Result<Self, CheckpointError> {
        let (jobs, queue) = sync_channel::<SledJob>(1);
        let (opened, answer) = sync_channel(1);
        let (alive, ended) = sync_channel(0);
        let owned_folder = folder.to_owned();
        thread::Builder::new().name(THREAD.into()).spawn(move || {
            serve_jobs(&owned_folder, &opened, &queue);
            drop(alive);
        })?;
        wait_for_answer(&answer, "opening", limits.open)??;
        let (folder, closed_by) = (folder.to_owned(), String::new());
        Ok(Self { folder, limits, jobs: Some(jobs), ended, closed_by })
    }

    fn submit_job(&mut self, job: SledJob) -> Result<(), CheckpointError> {
        let Some(jobs) = &self.jobs else {
            return Err(CheckpointError::Closed(self.closed_by.clone()));
        };
        jobs.send(job).map_err(|_| thread_gone())
    }

    fn run_job<R: Send + 'static>(
        &mut self,
        doing: &'static str,
        job: impl FnOnce(&mut Generations<SledTable>) -> Result<R, CheckpointError> + Send + 'static,
    ) -> Result<R, CheckpointError> {
        let (answer, answered) = sync_channel(1);
        let result = self
            .submit_job(Box::new(move |generations| {
                // The caller may have timed out: then the answer is dropped.
                let _ = answer.send(catch_panic(doing, || job(generations)));
            }))
            .and_then(|()| wait_for_answer(&answered, doing, self.limits.call)?);
        self.close_on_doubt(result)
    }

    fn close_on_doubt<R>(
        &mut self,
        result: Result<R, CheckpointError>,
    ) -> Result<R, CheckpointError> {
        if let Err(error) = &result
            && error.ends_use()
        {
            self.closed_by = error.to_string();
            self.close();
        }
        result
    }

    fn close(&mut self) {
        if self.jobs.take().is_none() {
            return;
        }
        if self.ended.recv_timeout(self.limits.close) == Err(RecvTimeoutError::Timeout) {
            tracing::error!(folder = %self.folder.display(), "sled doesn't end; abandoned");
        }
    }
}

impl Drop for SledCheckpoints {
    fn drop(&mut self) {
        self.close();
    }
}

impl Checkpoints for SledCheckpoints {
    fn begin(&mut self, all: bool) -> Result<u64, CheckpointError> {
        self.run_job("beginning a generation", move |generations| generations.begin(all))
    }

    fn put(&mut self, rows: &[Row]) -> Result<(), CheckpointError> {
        let rows = rows.to_vec();
        self.run_job("putting rows", move |generations| generations.put(&rows))
    }

    fn finish(&mut self, marker: Marker) -> Result<(), CheckpointError> {
        self.run_job("finishing a generation", move |generations| generations.finish(marker))
    }

    fn load(
        &mut self,
        each: &mut dyn FnMut(Row) -> Result<(), String>,
    ) -> Result<Option<Marker>, CheckpointError> {
        let (sender, receiver) = sync_channel(LOAD_CHUNKS);
        let limit = self.limits.call;
        let result = self
            .submit_job(Box::new(move |generations| {
                let loaded = catch_panic("loading", || load_in_chunks(generations, &sender));
                // The caller may have timed out: then the answer is dropped.
                let _ = sender.send(Loading::Done(loaded));
            }))
            .and_then(|()| receive_rows(&receiver, limit, each));
        self.close_on_doubt(result)
    }
}

/// The thread's main function: opens sled, runs one job after the other, and ends when the handle
/// is dropped.
fn serve_jobs(
    folder: &Path,
    opened: &SyncSender<Result<(), CheckpointError>>,
    queue: &Receiver<SledJob>,
) {
    let table = match catch_panic("opening", || SledTable::open(folder)) {
        Ok(table) => table,
        Err(error) => {
            wait_until_released(folder);
            // The caller may have timed out.
            let _ = opened.send(Err(error));
            return;
        }
    };
    let mut generations = Generations::new(table);
    if opened.send(Ok(())).is_ok() {
        for job in queue {
            job(&mut generations);
        }
    }
    let closed = catch_panic("closing", || {
        drop(generations);
        Ok(())
    });
    if let Err(error) = closed {
        tracing::warn!(folder = %folder.display(), %error, "closing the balances failed");
    }
    wait_until_released(folder);
}

fn load_in_chunks(
    generations: &mut Generations<SledTable>,
    sender: &SyncSender<Loading>,
) -> Result<Option<Marker>, CheckpointError> {
    let hand_over = |rows| {
        let refused = |_| CheckpointError::Refused("the load was abandoned".into());
        sender.send(Loading::Rows(rows)).map_err(refused)
    };
    let mut chunk = Vec::with_capacity(LOAD_ROWS);
    let marker = generations.load(&mut |row| {
        chunk.push(row);
        if chunk.len() < LOAD_ROWS {
            return Ok(());
        }
        hand_over(std::mem::replace(&mut chunk, Vec::with_capacity(LOAD_ROWS)))
    })?;
    hand_over(chunk)?;
    Ok(marker)
}

fn receive_rows(
    receiver: &Receiver<Loading>,
    limit: Duration,
    each: &mut dyn FnMut(Row) -> Result<(), String>,
) -> Result<Option<Marker>, CheckpointError> {
    loop {
        match wait_for_answer(receiver, "loading", limit)? {
            Loading::Done(result) => return result,
            Loading::Rows(rows) => {
                for row in rows {
                    each(row).map_err(CheckpointError::Refused)?;
                }
            }
        }
    }
}

fn wait_for_answer<R>(
    receiver: &Receiver<R>,
    doing: &'static str,
    limit: Duration,
) -> Result<R, CheckpointError> {
    receiver.recv_timeout(limit).map_err(|error| match error {
        RecvTimeoutError::Timeout => CheckpointError::Stalled { doing, seconds: limit.as_secs() },
        RecvTimeoutError::Disconnected => thread_gone(),
    })
}

fn thread_gone() -> CheckpointError {
    CheckpointError::Damaged("sled's thread is gone".into())
}

/// Runs `part`, which calls sled, and converts a panic to damage.
fn catch_panic<R>(
    doing: &str,
    part: impl FnOnce() -> Result<R, CheckpointError>,
) -> Result<R, CheckpointError> {
    catch_unwind(AssertUnwindSafe(part)).unwrap_or_else(|panic| {
        let message = panic_message(panic.as_ref());
        Err(CheckpointError::Damaged(format!("sled panicked while {doing}: {message}")))
    })
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balances::quarantine;

    #[test]
    fn only_sleds_threads_may_panic() {
        let parent = tempfile::tempdir().unwrap();
        let _open = crate::balances::open(&parent.path().join("balances")).unwrap();
        let threads = std::fs::read_dir("/proc/self/task").unwrap();
        let names: Vec<String> = threads
            .filter_map(|thread| std::fs::read_to_string(thread.unwrap().path().join("comm")).ok())
            .map(|name| name.trim_end().to_owned())
            .collect();
        assert!(names.iter().any(|name| name == THREAD), "{names:?}");
        for sled in [THREAD, "sled-io-7", "log flusher"] {
            assert!(contains_panics(sled), "{sled}");
        }
        for other in ["main", "journal", "keeper", "doors", "timeline", "tokio-runtime-worker"] {
            assert!(!contains_panics(other), "{other}");
        }
    }

    #[test]
    fn a_panic_in_sled_is_damage_and_ends_the_use_of_the_handle() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("balances");
        let mut checkpoints = crate::balances::open(&folder).unwrap();
        let error =
            checkpoints.run_job::<()>("putting rows", |_| panic!("page {}", 7)).unwrap_err();
        assert!(error.is_damage());
        assert_eq!(
            error.to_string(),
            "balances are damaged: sled panicked while putting rows: page 7"
        );
        assert!(matches!(checkpoints.begin(false), Err(CheckpointError::Closed(_))));

        // The handle still exists, but sled is closed: the folder can be set aside and opened again
        // at once.
        quarantine(&folder).unwrap();
        assert_eq!(crate::balances::open(&folder).unwrap().load(&mut |_| Ok(())).unwrap(), None);
    }

    #[test]
    fn sled_that_never_answers_is_left_behind() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("balances");
        let short = Duration::from_millis(50);
        let limits = SledTimeouts { call: short, close: short, ..SledTimeouts::default() };
        let mut checkpoints = SledCheckpoints::open(&folder, limits).unwrap();
        let (release, asleep) = sync_channel::<()>(0);
        let error = checkpoints
            .run_job("flushing", move |_| {
                let _ = asleep.recv();
                Ok(())
            })
            .unwrap_err();
        assert!(matches!(error, CheckpointError::Stalled { doing: "flushing", .. }), "{error}");
        assert!(error.is_damage());
        drop(checkpoints);

        // Its files are still locked, but no longer in the way once they are renamed.
        quarantine(&folder).unwrap();
        assert_eq!(crate::balances::open(&folder).unwrap().load(&mut |_| Ok(())).unwrap(), None);
        drop(release);
    }
}
