//! The relay between the sites: it forwards datagrams, and can delay, lose, slow and cut
//! them.
//!
//! ```text
//! site A ─▶ port of (A→B) ─▶ lane there ─▶ socket for A's address ─▶ site B's own port
//! site A ◀─ port of (A→B) ◀─ lane home ◀─ socket for A's address ◀─ site B
//! ```
//! One process with one forwarding thread and one control thread. It never reads a datagram's
//! content, keeps nothing over a restart (a new relay has no cuts), and never passes on an ICMP
//! port-unreachable: a dead site sends none.

pub mod control;
mod forward;
mod lane;
mod line;
mod route;
pub mod rules;

use std::{io, path::Path, sync::Arc, thread};

pub use control::{Control, Order, RelayState};
pub use forward::DatagramCounts;
pub use route::RoutePlan;
pub use rules::{Cut, LinkConditions};

/// Forwards datagrams between the sites until the process ends.
///
/// # Errors
/// When a port or the control socket is taken, or a system call fails.
pub fn run(plans: &[RoutePlan], control_socket: &Path, seed: u64) -> io::Result<()> {
    let shared = control::new_shared();
    let forwarder = forward::Forwarder::open(plans, seed, Arc::clone(&shared))?;
    let listener = control::listen(control_socket)?;
    thread::Builder::new()
        .name("relay-control".into())
        .spawn(move || control::serve(&listener, &shared))?;
    forwarder.run()
}
