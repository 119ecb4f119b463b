//! Accepts connections: validates addresses, bounds their number, limits the time of each
//! handshake, and hands over only checked connections. All others are counted and logged at debug
//! level.
//!
//! Handshakes that stall end for newer ones. Connections are bounded by address before their
//! handshake, or by what they prove after it.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use quinn::{Connection, Endpoint, Incoming, VarInt};
use tokio::sync::{Mutex, mpsc};

use super::{
    link::{Link, Place, explain_close},
    short_tasks::{ShortTask, ShortTasks},
};

/// The most accepted links that aren't fetched yet.
const ARRIVED_MAX: usize = 64;
const REFUSED: VarInt = VarInt::from_u32(1);

/// The rules of a port.
pub(crate) trait PortRules: Send + Sync + 'static {
    /// What is known about the other side.
    type Who: Send + 'static;

    /// Takes a place before the handshake; `Ok(None)`: it's taken by [`Self::check`].
    fn take_place(&self, address: IpAddr) -> Result<Option<Place>, &'static str>;

    /// Checks a connection after its handshake. Returns what is known about the other side, and
    /// its place if it has none yet; or the reason of a refusal.
    fn check(&self, connection: &Connection) -> Result<(Self::Who, Option<Place>), String>;
}

/// The bounds of an acceptor.
pub(crate) struct Bounds<R> {
    pub(crate) handshake: Duration,
    pub(crate) handshakes: ShortTasks,
    pub(crate) rules: R,
}

/// Accepts connections in the background and hands them over as links.
#[derive(Debug)]
pub(crate) struct Acceptor<W> {
    arrived: Mutex<mpsc::Receiver<(W, Link)>>,
    refused: Arc<AtomicU64>,
}

impl<W: Send + 'static> Acceptor<W> {
    /// Starts accepting; ends when the endpoint closes.
    pub(crate) fn start(endpoint: Endpoint, bounds: Bounds<impl PortRules<Who = W>>) -> Self {
        let (arrivals, arrived) = mpsc::channel(ARRIVED_MAX);
        let refused = Arc::new(AtomicU64::new(0));
        let door = Door { bounds, arrivals, refused: refused.clone() };
        tokio::spawn(Arc::new(door).accept_incoming(endpoint));
        Self { arrived: Mutex::new(arrived), refused }
    }

    pub(crate) async fn next(&self) -> Option<(W, Link)> {
        self.arrived.lock().await.recv().await
    }

    pub(crate) fn refused_count(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

struct Door<R: PortRules> {
    bounds: Bounds<R>,
    arrivals: mpsc::Sender<(R::Who, Link)>,
    refused: Arc<AtomicU64>,
}

impl<R: PortRules> Door<R> {
    async fn accept_incoming(self: Arc<Self>, endpoint: Endpoint) {
        while let Some(incoming) = endpoint.accept().await {
            if !incoming.remote_address_validated() {
                // Costs the sender one more round trip and this node no memory. Fails only for
                // validated addresses.
                let _ = incoming.retry();
                continue;
            }
            let address = incoming.remote_address();
            let place = match self.bounds.rules.take_place(address.ip()) {
                Ok(place) => place,
                Err(reason) => {
                    self.count_refusal(address, reason);
                    incoming.refuse();
                    continue;
                }
            };
            let handshake = self.bounds.handshakes.begin(address.ip());
            let door = self.clone();
            tokio::spawn(async move {
                if let Err(reason) = door.complete_handshake(incoming, handshake, place).await {
                    door.count_refusal(address, &reason);
                }
            });
        }
    }

    async fn complete_handshake(
        &self,
        incoming: Incoming,
        mut handshake: ShortTask,
        place: Option<Place>,
    ) -> Result<(), String> {
        let connecting = incoming.accept().map_err(|error| explain_close(&error))?;
        let connection = tokio::select! {
            done = tokio::time::timeout(self.bounds.handshake, connecting) => done
                .map_err(|_| "the handshake took too long".to_owned())?
                .map_err(|error| explain_close(&error))?,
            () = handshake.displaced() => return Err("a newer handshake took its place".into()),
        };
        drop(handshake);
        let (who, own) = self.bounds.rules.check(&connection).inspect_err(|reason| {
            connection.close(REFUSED, reason.as_bytes());
        })?;
        // Fails only if links are no longer fetched; then the link closes.
        let _ = self.arrivals.send((who, Link::new(connection, own.or(place)))).await;
        Ok(())
    }

    fn count_refusal(&self, address: SocketAddr, reason: &str) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(%address, reason, "refused");
    }
}
