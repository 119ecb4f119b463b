//! The three sites as real processes: files, ports, processes, admin calls and HTTP. Never ends a
//! process that isn't identified by its pid file or command line.

pub mod admin;
pub mod files;
pub mod http;
pub mod nodes;
pub mod ports;
pub mod process;
pub mod site;
pub mod table;
pub mod testnet;
pub mod up;
