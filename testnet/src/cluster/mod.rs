//! Three sites as real processes: their files, ports and processes, and what is asked of them.

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
