//! The digests of account rows. Each row is mixed to 64 bits and added up, so that the order of
//! rows in memory doesn't matter.

use evenkeel_wire::{account::Limits, amount::Asset, codec};

use super::{AccountOpening, BalanceRow, extra::Extra};
use crate::containers::mix::{ROOTS, bits, fold};

/// The digest of the fields that never change. Computed only when an account is opened, loaded or
/// audited.
pub(crate) fn fixed(
    row: &BalanceRow,
    asset: Asset,
    opened: &AccountOpening,
    limits: &Limits,
) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&row.id.number().to_le_bytes());
    hasher.update(&[row.kind.byte()]);
    hasher.update(&asset.number().to_le_bytes());
    hasher.update(&opened.at.to_le_bytes());
    hasher.update(&opened.position.to_le_bytes());
    hasher.update(&opened.index.to_le_bytes());
    let has_limits = *limits != Limits::default();
    hasher.update(&[u8::from(has_limits)]);
    if has_limits {
        hasher.update(&codec::encode(limits));
    }
    hasher.update(opened.label.as_str().as_bytes());
    let hash = hasher.finalize();
    u64::from_le_bytes(*hash.as_bytes().first_chunk().expect("32 bytes"))
}

/// The digest of a row without its limits and holds.
#[inline]
pub(crate) fn row(row: &BalanceRow) -> u64 {
    let balance = fold(row.fixed ^ ROOTS[0], bits(row.posted) ^ ROOTS[1]);
    let day = (u64::from(row.debited_date) << 8) | u64::from(row.status.byte());
    let day = fold(row.debited_today ^ ROOTS[4], day ^ ROOTS[5]);
    fold(balance ^ day ^ ROOTS[2], row.changed_position ^ ROOTS[3])
}

/// The digest of a row's limits and holds, in addition to [`row`]; 0 for the default ones.
pub(crate) fn extra(row: &BalanceRow, extra: &Extra, default: &Extra) -> u64 {
    if extra == default {
        return 0;
    }
    let limits = fold(extra.max_balance ^ ROOTS[0], extra.per_transfer ^ ROOTS[1]);
    let holds = fold(bits(extra.held) ^ ROOTS[2], u64::from(extra.incoming_holds) ^ ROOTS[3]);
    let all = fold(limits ^ ROOTS[4], extra.daily_debit ^ ROOTS[5]);
    fold(fold(all ^ ROOTS[6], holds ^ ROOTS[7]) ^ ROOTS[0], row.fixed ^ ROOTS[2])
}
