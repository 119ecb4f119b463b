//! Voiding a hold: the merchant releases it.

use evenkeel_wire::{hold::Void, outcome::Rejection};

use super::{find_hold, release::ReleaseChange};
use crate::{
    rules::{context::CommandContext, verdict::Stop},
    tables::Tables,
};

/// Judges a void.
pub(crate) fn judge(
    tables: &Tables,
    void: &Void,
    context: &mut CommandContext<'_>,
) -> Result<ReleaseChange, Stop> {
    let found = find_hold(tables, void.hold, context)?;
    if !found.is_open {
        return Err(Rejection::HoldNotOpen.into());
    }
    ReleaseChange::plan(tables, (void.hold, &found.hold), context)
}
