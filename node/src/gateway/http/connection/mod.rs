//! The HTTP port: connections, bounded in number, in memory and in time. Nothing here looks at what a request says.

pub(crate) mod bodies;
pub(crate) mod paced;
pub(crate) mod patience;
pub(crate) mod server;
pub(crate) mod tls;
