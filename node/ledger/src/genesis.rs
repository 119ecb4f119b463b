//! Founding the ledger: the first command says what all others are judged by.

use evenkeel_wire::{
    codec,
    day::BusinessDate,
    genesis::Genesis,
    limits::{AMOUNT_MAX, ASSETS_MAX},
    outcome::{Answer, Outcome, Stamp},
};

/// The genesis with its place in the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GenesisRecord {
    pub(crate) genesis: Genesis,
    /// Where it was decided, for whoever sends it again.
    pub(crate) stamp: Stamp,
    pub(crate) index: u16,
    /// blake3 of all of it.
    pub(crate) digest: [u8; 32],
}

impl GenesisRecord {
    pub(crate) fn new(genesis: Genesis, stamp: Stamp, index: u16) -> Self {
        let mut founded = Self { genesis, stamp, index, digest: [0; 32] };
        founded.digest = *blake3::hash(&founded.encode()).as_bytes();
        founded
    }

    /// As a checkpoint keeps it.
    pub(crate) fn encode(&self) -> Vec<u8> {
        codec::encode(&(&self.genesis, self.stamp, self.index))
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, String> {
        let (genesis, stamp, index) =
            codec::decode::<(Genesis, Stamp, u16)>(bytes).map_err(|error| error.to_string())?;
        check_genesis(&genesis)?;
        Ok(Self::new(genesis, stamp, index))
    }

    /// The first answer, for whoever sends it again.
    pub(crate) fn first_answer(&self) -> Answer {
        let outcome = Outcome {
            index: self.index,
            rejection: None,
            amount: 0,
            debit_after: 0,
            credit_after: 0,
        };
        Answer { outcome, first: Some(self.stamp) }
    }
}

/// Whether a ledger can be founded on this: whoever proposes a genesis asks first, since a journal that begins with a
/// wrong one is refused by every node.
///
/// # Errors
/// Names the setting and what is wrong with it.
pub fn check_genesis(genesis: &Genesis) -> Result<(), String> {
    let assets = &genesis.assets;
    if assets.is_empty() || assets.len() > ASSETS_MAX {
        return Err(format!("assets: {} are named, allowed are 1 to {ASSETS_MAX}", assets.len()));
    }
    for (number, asset) in assets.iter().enumerate() {
        if assets[..number].contains(asset) {
            return Err(format!("assets: {asset} is named twice"));
        }
    }
    if BusinessDate::from_number(genesis.first_date.number()).is_err() {
        return Err("first_date: no date".into());
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
pub(crate) struct IdWindow {
    pub(crate) oldest_ms: u64,
    pub(crate) newest_ms: u64,
}

impl IdWindow {
    /// At a time in microseconds. An id is expired when it's older than the horizon, in the future when it's more than
    /// the tolerance ahead; the bounds themselves are fresh.
    pub(crate) fn at_time(time: u64, genesis: &Genesis) -> Self {
        const MICROS: u64 = 1_000;
        let horizon = genesis.id_horizon_ms.saturating_mul(MICROS);
        let tolerance = genesis.id_tolerance_ms.saturating_mul(MICROS);
        Self {
            oldest_ms: time.saturating_sub(horizon).div_ceil(MICROS),
            newest_ms: time.saturating_add(tolerance) / MICROS,
        }
    }
}
