//! Founding the ledger: the first command says what all others are judged by.

use evenkeel_wire::{
    codec,
    genesis::Genesis,
    limits::{AMOUNT_MAX, ASSETS_MAX},
    outcome::{Outcome, Stamp},
};

/// The genesis with its place in the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Founded {
    pub(super) genesis: Genesis,
    /// Where it was decided, for whoever sends it again.
    pub(super) stamp: Stamp,
    pub(super) outcome: Outcome,
    /// blake3 of everything above but term and link, which the journal's chain vouches for.
    pub(super) digest: [u8; 32],
}

impl Founded {
    pub(super) fn new(genesis: Genesis, stamp: Stamp, outcome: Outcome) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&codec::encode(&genesis));
        hasher.update(&stamp.position.to_le_bytes());
        hasher.update(&stamp.recorded_at.to_le_bytes());
        hasher.update(&outcome.index.to_le_bytes());
        let digest = *hasher.finalize().as_bytes();
        Self { genesis, stamp, outcome, digest }
    }
}

/// Whether a ledger can be founded on this: whoever proposes a genesis asks first, since a journal that begins with a
/// wrong one is refused by every node.
///
/// # Errors
/// Names the setting and what is wrong with it.
pub fn check(genesis: &Genesis) -> Result<(), String> {
    let assets = &genesis.assets;
    if assets.is_empty() || assets.len() > ASSETS_MAX {
        return Err(format!("assets: {} are named, allowed are 1 to {ASSETS_MAX}", assets.len()));
    }
    for (number, asset) in assets.iter().enumerate() {
        if assets[..number].contains(asset) {
            return Err(format!("assets: {asset} is named twice"));
        }
    }
    if genesis.wallet_max_balance == 0 || genesis.wallet_max_balance > AMOUNT_MAX {
        return Err(format!(
            "wallet_max_balance: {} isn't within 1 and {AMOUNT_MAX}",
            genesis.wallet_max_balance
        ));
    }
    Ok(())
}

/// Which ids are fresh enough at a time: milliseconds since the Unix epoch, both inclusive.
#[derive(Clone, Copy, Debug)]
pub(super) struct IdWindow {
    pub(super) oldest_ms: u64,
    pub(super) newest_ms: u64,
}

impl IdWindow {
    /// At a time in microseconds. An id is expired when it's older than the horizon, in the future when it's more than
    /// the tolerance ahead; the bounds themselves are fresh.
    pub(super) fn at(time: u64, genesis: &Genesis) -> Self {
        const MICROS: u64 = 1_000;
        let horizon = genesis.id_horizon_ms.saturating_mul(MICROS);
        let tolerance = genesis.id_tolerance_ms.saturating_mul(MICROS);
        Self {
            oldest_ms: time.saturating_sub(horizon).div_ceil(MICROS),
            newest_ms: time.saturating_add(tolerance) / MICROS,
        }
    }
}
