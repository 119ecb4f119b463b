//! The digest of all replicated state. Tables keep their parts up to date while they change, so it
//! can be computed at any time.
//!
//! Rows and outcomes are each mixed to 64 bits and added up, so that their order in memory doesn't
//! matter. It detects nodes that differ by a bug or by damage; it's no defence against anyone who
//! can write to a node's memory. Ids that are still in memory aren't part of it, since each node
//! forgets them at its own time; their outcomes are.

use crate::tables::Tables;

const DOMAIN: &[u8] = b"evenkeel ledger digest 2";

/// The digest of everything.
pub(crate) fn ledger_digest(tables: &Tables) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    let mut number = |number: u64| {
        hasher.update(&number.to_le_bytes());
    };
    number(tables.position().map_or(0, |position| position.wrapping_add(1)));
    number(tables.time);
    number(tables.outcomes.count);
    number(tables.outcomes.sum);
    for (count, digest) in [
        (tables.accounts.count(), tables.accounts.digest),
        (tables.holds.len(), tables.holds.digest()),
        (tables.refunds.len(), tables.refunds.digest()),
        (tables.reversals.len(), tables.reversals.digest()),
        (tables.keys.rows.len(), tables.keys.rows.digest()),
    ] {
        number(u64::try_from(count).expect("usize fits in 64 bits"));
        number(digest);
    }
    number(tables.days.digest());
    hasher.update(DOMAIN);
    hasher.update(&tables.genesis.as_ref().map_or([0; 32], |record| record.digest));
    for row in tables.accounts.totals().rows() {
        for sum in row {
            hasher.update(&sum.to_le_bytes());
        }
    }
    *hasher.finalize().as_bytes()
}
