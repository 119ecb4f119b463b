//! The relay between the sites: datagrams pass through it, so that it can delay, lose and cut them.
//!
//! ```text
//! site A ─▶ port of (A→B) ─▶ lane there ─▶ socket for A's address ─▶ site B's own port
//! site A ◀─ port of (A→B) ◀─ lane home ◀─ socket for A's address ◀─ site B
//! ```
//! One process, one forwarding thread, one thread for orders. It knows nothing of what it carries, remembers
//! nothing over a restart (a new relay is open), and never passes on a refusal: a burning site sends none.

pub mod control;
mod forward;
mod lane;
mod route;
pub mod rules;

use std::{io, path::Path, sync::Arc, thread};

pub use control::{Control, Order, RelayState};
pub use forward::DatagramCounts;
pub use route::RoutePlan;
pub use rules::{Cut, LinkConditions};

/// Carries datagrams between the sites until the process ends.
///
/// # Errors
/// When a port or the control socket is taken, or the kernel fails.
pub fn run(plans: &[RoutePlan], control_socket: &Path, seed: u64) -> io::Result<()> {
    let shared = control::new_shared();
    let forwarder = forward::Forwarder::open(plans, seed, Arc::clone(&shared))?;
    let listener = control::listen(control_socket)?;
    thread::Builder::new()
        .name("relay-control".into())
        .spawn(move || control::serve(&listener, &shared))?;
    forwarder.run()
}
