//! Once everything is healed, every site decides commands again and all sites reach the same state,
//! in bounded time.

use std::time::Duration;

/// Until a command is acknowledged through each site.
pub const COMMANDS_WITHIN: Duration = Duration::from_secs(10);
/// Until all sites have the same state, once no more commands are sent.
pub const AGREEMENT_WITHIN: Duration = Duration::from_secs(15);
/// Until another primary decides, after the old one was lost or cut off.
pub const FAILOVER_WITHIN: Duration = Duration::from_secs(5);
