//! The release of a hold that is due. The primary writes it.

use evenkeel_wire::hold::ExpireHold;

use super::release::ReleaseChange;
use crate::{
    rules::{context::CommandContext, verdict::Stop},
    tables::Tables,
};

/// Judges an expiry. It's ignored when the hold is closed already, or not yet due.
pub(crate) fn judge(
    tables: &Tables,
    expire: &ExpireHold,
    context: &CommandContext<'_>,
) -> Result<ReleaseChange, Stop> {
    let hold = tables.holds.get(expire.hold).ok_or(Stop::Ignored)?;
    if hold.expires_at > tables.time {
        return Err(Stop::Ignored);
    }
    ReleaseChange::plan(tables, (expire.hold, hold), context)
}
