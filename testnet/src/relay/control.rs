//! The relay's control socket: one JSON line in, one out, over a unix socket in the run folder.

use std::{
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use evenkeel_wire::id::NodeId;
use serde::{Deserialize, Serialize};

use super::{
    forward::{DatagramCounts, Shared},
    rules::{Cut, LINK_MS_MAX, LINK_RATE_MIN, LOSS_PPM_MAX, LinkConditions, Rules},
};

const LINE_BYTES_MAX: u64 = 4_096;
const PATIENCE: Duration = Duration::from_secs(2);

/// A request to the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Order {
    /// Drop these directions of a site's traffic, from the reply on.
    Cut { node: NodeId, cut: Cut },
    /// Restore these directions.
    Heal { node: NodeId, cut: Cut },
    /// Set the conditions of all links.
    Link(LinkConditions),
    /// Only report the state.
    Tell,
}

/// The current rules, and the datagram counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayState {
    pub rules: Rules,
    pub counts: DatagramCounts,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum OrderReply {
    Done(RelayState),
    Refused(String),
}

/// Serves orders until the process ends.
pub(crate) fn serve(listener: &UnixListener, shared: &Mutex<Shared>) {
    for stream in listener.incoming().filter_map(Result::ok) {
        // A client that disconnects early gets no reply.
        let _ = answer(&stream, shared);
    }
}

/// Binds the control socket; replaces the file of a dead relay.
pub(crate) fn listen(path: &Path) -> io::Result<UnixListener> {
    if UnixStream::connect(path).is_ok() {
        let text = format!("another relay answers at {}", path.display());
        return Err(io::Error::new(io::ErrorKind::AddrInUse, text));
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    UnixListener::bind(path).map_err(|error| with_socket_path(&error, path))
}

fn answer(stream: &UnixStream, shared: &Mutex<Shared>) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let line = read_line(stream)?;
    let reply = match serde_json::from_str(&line) {
        Ok(order) => apply_order(order, shared),
        Err(error) => OrderReply::Refused(error.to_string()),
    };
    write_line(stream, &serde_json::to_string(&reply)?)
}

fn apply_order(order: Order, shared: &Mutex<Shared>) -> OrderReply {
    let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
    match order {
        Order::Cut { node, cut } => shared.rules.cut(node, cut),
        Order::Heal { node, cut } => shared.rules.heal(node, cut),
        Order::Link(link) => {
            let slowest_ms = link.rtt_ms.max(link.jitter_ms);
            if slowest_ms > LINK_MS_MAX || link.loss_ppm > LOSS_PPM_MAX {
                return OrderReply::Refused(format!(
                    "a link is at most {LINK_MS_MAX} ms and 100 %"
                ));
            }
            if link.rate.is_some_and(|rate| rate < LINK_RATE_MIN) {
                return OrderReply::Refused(format!(
                    "a link carries at least {LINK_RATE_MIN} bytes a second"
                ));
            }
            shared.rules.link = link;
        }
        Order::Tell => {}
    }
    OrderReply::Done(RelayState { rules: shared.rules.clone(), counts: shared.counts })
}

/// A client of a running relay.
#[derive(Clone, Debug)]
pub struct Control {
    path: PathBuf,
}

impl Control {
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Sends an order; when this returns, the order applies to every datagram.
    ///
    /// # Errors
    /// When no relay answers, or it refuses the order.
    pub fn order(&self, order: Order) -> io::Result<RelayState> {
        let stream = UnixStream::connect(&self.path)
            .map_err(|error| with_socket_path(&error, &self.path))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        write_line(&stream, &serde_json::to_string(&order)?)?;
        match serde_json::from_str(&read_line(&stream)?)? {
            OrderReply::Done(state) => Ok(state),
            OrderReply::Refused(why) => Err(io::Error::new(io::ErrorKind::InvalidInput, why)),
        }
    }
}

fn with_socket_path(error: &io::Error, path: &Path) -> io::Error {
    io::Error::new(error.kind(), format!("relay's control socket {}: {error}", path.display()))
}

fn read_line(stream: &UnixStream) -> io::Result<String> {
    let mut line = String::new();
    BufReader::new(stream.take(LINE_BYTES_MAX)).read_line(&mut line)?;
    Ok(line)
}

fn write_line(mut stream: &UnixStream, line: &str) -> io::Result<()> {
    stream.write_all(format!("{line}\n").as_bytes())
}

/// Creates the state shared by [`serve`] and the forwarding thread.
#[must_use]
pub(crate) fn new_shared() -> Arc<Mutex<Shared>> {
    Arc::default()
}
