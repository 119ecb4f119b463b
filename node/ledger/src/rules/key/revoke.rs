//! Revoking a key. A revoked key stays revoked.

use evenkeel_wire::{id::KeyId, key::RevokeKey, outcome::Rejection};

use crate::{
    rules::verdict::{Committed, Stop},
    tables::Tables,
};

/// Judges a revocation.
pub(crate) fn judge(tables: &Tables, revoke: RevokeKey) -> Result<KeyId, Stop> {
    tables.keys.view(revoke.key).ok_or(Rejection::KeyNotFound)?;
    Ok(revoke.key)
}

/// Revokes the key.
pub(crate) fn apply(tables: &mut Tables, key: KeyId) -> Committed {
    tables.revoke_key(key);
    Committed::NOTHING
}
