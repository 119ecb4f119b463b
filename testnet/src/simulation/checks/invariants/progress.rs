//! Once everything is healed, commands are decided at every site again, and all sites come to the same state; in bounded time.

use std::time::Duration;

/// Until a command is acknowledged through each site.
pub const COMMANDS_WITHIN: Duration = Duration::from_secs(10);
/// Until all sites have applied the same, once commands have ceased.
pub const AGREEMENT_WITHIN: Duration = Duration::from_secs(15);
/// Until there is another primary that decides, after the old one was lost or cut off in any way.
pub const FAILOVER_WITHIN: Duration = Duration::from_secs(5);
