//! Accepts connections: validates addresses, bounds their number, limits the time of each
//! handshake, and hands over only checked connections. All others are counted and logged at debug
//! level.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use quinn::{Connection, Endpoint, Incoming, VarInt};
use tokio::sync::{Mutex, mpsc};

use super::{
    link::{Link, explain_close},
    slots::{Slot, SlotPool},
};

/// The most accepted links that aren't fetched yet.
const ARRIVED_MAX: usize = 64;
const REFUSED: VarInt = VarInt::from_u32(1);

/// The check after the handshake; returns a description of the other side, or the reason of a
/// refusal.
pub(crate) type Check<W> = fn(&Connection) -> Result<W, String>;

/// The bounds of an acceptor.
pub(crate) struct Bounds {
    pub(crate) handshake: Duration,
    pub(crate) handshakes: SlotPool,
    pub(crate) connections: SlotPool,
}

/// Accepts connections in the background and hands them over as links.
#[derive(Debug)]
pub(crate) struct Acceptor<W> {
    arrived: Mutex<mpsc::Receiver<(W, Link)>>,
    refused: Arc<AtomicU64>,
}

impl<W: Send + 'static> Acceptor<W> {
    /// Starts accepting; ends when the endpoint closes.
    pub(crate) fn start(endpoint: Endpoint, bounds: Bounds, check: Check<W>) -> Self {
        let (arrivals, arrived) = mpsc::channel(ARRIVED_MAX);
        let refused = Arc::new(AtomicU64::new(0));
        let door = Door { bounds, check, arrivals, refused: refused.clone() };
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

struct Door<W> {
    bounds: Bounds,
    check: Check<W>,
    arrivals: mpsc::Sender<(W, Link)>,
    refused: Arc<AtomicU64>,
}

impl<W: Send + 'static> Door<W> {
    async fn accept_incoming(self: Arc<Self>, endpoint: Endpoint) {
        while let Some(incoming) = endpoint.accept().await {
            if !incoming.remote_address_validated() {
                // Costs the sender one more round trip and this node no memory. Fails only for
                // validated addresses.
                let _ = incoming.retry();
                continue;
            }
            let address = incoming.remote_address();
            let (handshake, place) = (
                self.bounds.handshakes.take_slot(address.ip()),
                self.bounds.connections.take_slot(address.ip()),
            );
            let (Some(handshake), Some(place)) = (handshake, place) else {
                self.count_refusal(address, "no slot is free");
                incoming.refuse();
                continue;
            };
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
        handshake: Slot,
        place: Slot,
    ) -> Result<(), String> {
        let connecting = incoming.accept().map_err(|error| explain_close(&error))?;
        let connection = tokio::time::timeout(self.bounds.handshake, connecting)
            .await
            .map_err(|_| "the handshake took too long".to_owned())?
            .map_err(|error| explain_close(&error))?;
        drop(handshake);
        let who = (self.check)(&connection).inspect_err(|reason| {
            connection.close(REFUSED, reason.as_bytes());
        })?;
        // Fails only if links are no longer fetched; then the link closes.
        let _ = self.arrivals.send((who, Link::new(connection, Some(place)))).await;
        Ok(())
    }

    fn count_refusal(&self, address: SocketAddr, reason: &str) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(%address, reason, "refused");
    }
}
