//! The HTTP port: connections, bounded in number, in memory and in time. It never looks into a
//! request.

pub(crate) mod bodies;
pub(crate) mod paced;
pub(crate) mod patience;
pub(crate) mod server;
pub(crate) mod tls;
