//! A panic anywhere ends the process at once, with one line that names it: half a node, with a door
//! that accepts and a batcher that is gone, is worse than none. Only panics of sled's threads are
//! contained: what they leave behind is rebuilt.
//!
//! It's a hook, so it sees every thread and task, those of libraries too. It never unwinds.

use std::{
    panic::PanicHookInfo,
    process,
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
        mpsc::sync_channel,
    },
    thread,
    time::Duration,
};

use evenkeel_node::telemetry::Telemetry;
use evenkeel_storage::balances;

use crate::{Exit, output};

/// The node's log, once it has one.
static LOG: OnceLock<Telemetry> = OnceLock::new();
/// A panic is being reported.
static ENDING: AtomicBool = AtomicBool::new(false);
/// How long the report may take: the thread that panicked may hold what it needs.
const REPORT_PATIENCE: Duration = Duration::from_secs(3);

/// From now on a panic ends the process.
pub(crate) fn end_process_on_panic() {
    std::panic::set_hook(Box::new(handle));
}

/// From now on a panic is reported in the node's log and timeline.
pub(crate) fn report_in(log: &Telemetry) {
    let _already_set = LOG.set(log.clone());
}

fn handle(panic: &PanicHookInfo<'_>) {
    let own = thread::current();
    let name = own.name().unwrap_or("unnamed").to_owned();
    let why = describe(panic, &name);
    if balances::contains_panics(&name) {
        return tracing::warn!("contained a panic: {why}");
    }
    if ENDING.swap(true, Ordering::AcqRel) {
        // Another thread's panic is being reported, or this one's report panicked.
        thread::sleep(REPORT_PATIENCE);
        process::exit(Exit::Bug.code().into());
    }
    // On another thread: this one may hold a lock of the log.
    let (done, reported) = sync_channel(1);
    let reporter = thread::Builder::new().name("report".into()).spawn(move || {
        match LOG.get() {
            Some(log) => log.report_panic(&why),
            None => output::print_error(&format!("a bug: {why}; report it")),
        }
        let _nobody_waits = done.send(());
    });
    if reporter.is_ok() {
        let _done_or_late = reported.recv_timeout(REPORT_PATIENCE);
    }
    process::exit(Exit::Bug.code().into());
}

/// Message, place and thread, on one line.
fn describe(panic: &PanicHookInfo<'_>, thread: &str) -> String {
    let message = panic.payload_as_str().unwrap_or("no message").replace('\n', " ");
    match panic.location() {
        Some(place) => format!("panic at {place} in thread {thread}: {message}"),
        None => format!("panic in thread {thread}: {message}"),
    }
}
