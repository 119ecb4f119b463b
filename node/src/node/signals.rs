//! The process's signals, taken over before anything else happens: SIGTERM and SIGINT stop the
//! node, at any moment of its start too; SIGHUP, SIGUSR1 and SIGUSR2 do nothing. The first process
//! of a container doesn't even get a signal that it hasn't taken over.
//!
//! It stops nothing that runs: [`super::shutdown`] does.

use std::{
    io, process,
    sync::{Arc, Mutex, PoisonError, mpsc::sync_channel},
};

use tokio::{
    runtime,
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};

use super::spawn_thread;

/// How a node is ended that hasn't started yet.
type EndStart = Box<dyn Fn() + Send>;

/// Handlers for all signals. Clones share them.
#[derive(Clone)]
pub struct Signals {
    stop: watch::Sender<bool>,
    /// `None` once the node runs.
    end_start: Arc<Mutex<Option<EndStart>>>,
}

/// The signals that the process hasn't got its default action for.
struct SignalStreams {
    terminate: Signal,
    interrupt: Signal,
    ignored: [Signal; 3],
}

impl SignalStreams {
    fn take_over() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            ignored: [
                signal(SignalKind::hangup())?,
                signal(SignalKind::user_defined1())?,
                signal(SignalKind::user_defined2())?,
            ],
        })
    }
}

impl Signals {
    /// Takes the signals over. Until `begin_running` a signal to stop ends the process at
    /// once, with 0: a start changes nothing that a crash may not interrupt.
    ///
    /// # Errors
    /// When the system refuses a handler or a thread.
    pub fn take_over() -> io::Result<Self> {
        let nothing: EndStart = Box::new(|| ());
        let signals = Self {
            stop: watch::Sender::new(false),
            end_start: Arc::new(Mutex::new(Some(nothing))),
        };
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let (ready, taken) = sync_channel(1);
        let own = signals.clone();
        spawn_thread("signals", move || {
            runtime.block_on(async {
                match SignalStreams::take_over() {
                    Ok(streams) => {
                        let _nobody_waits_twice = ready.send(Ok(()));
                        own.serve(streams).await;
                    }
                    Err(error) => {
                        let _nobody_waits_twice = ready.send(Err(error));
                    }
                }
            });
        })?;
        taken.recv().map_err(io::Error::other)??;
        Ok(signals)
    }

    /// What to do before a signal ends a start.
    pub(crate) fn on_early_end(&self, end: impl Fn() + Send + 'static) {
        let mut end_start = self.end_start.lock().unwrap_or_else(PoisonError::into_inner);
        if end_start.is_some() {
            *end_start = Some(Box::new(end));
        }
    }

    /// The node runs: from now on a signal to stop is delivered here.
    pub(crate) fn begin_running(&self) -> watch::Receiver<bool> {
        self.end_start.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.stop.subscribe()
    }

    async fn serve(&self, streams: SignalStreams) {
        let SignalStreams { mut terminate, mut interrupt, ignored } = streams;
        let [mut hangup, mut first, mut second] = ignored;
        loop {
            tokio::select! {
                _ = terminate.recv() => self.stop("SIGTERM"),
                _ = interrupt.recv() => self.stop("SIGINT"),
                _ = hangup.recv() => log_ignored("SIGHUP"),
                _ = first.recv() => log_ignored("SIGUSR1"),
                _ = second.recv() => log_ignored("SIGUSR2"),
            }
        }
    }

    fn stop(&self, signal: &str) {
        let end_start = self.end_start.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(end) = &*end_start {
            tracing::info!("stopped by {signal} before the start was done");
            end();
            process::exit(0);
        }
        drop(end_start);
        if !self.stop.send_replace(true) {
            tracing::info!("stopping on {signal}");
        }
    }
}

fn log_ignored(signal: &str) {
    tracing::info!("{signal} does nothing here; SIGTERM stops this node");
}
