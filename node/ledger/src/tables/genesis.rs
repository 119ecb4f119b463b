//! Genesis: assets, limits and the operator key, which all other commands depend on.

use evenkeel_wire::{
    codec,
    day::BusinessDate,
    genesis::Genesis,
    limits::{AMOUNT_MAX, ASSETS_MAX},
    outcome::{Answer, Outcome, Stamp},
};

/// The genesis with its position in the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GenesisRecord {
    pub(crate) genesis: Genesis,
    /// Where it was decided, for replays.
    pub(crate) stamp: Stamp,
    pub(crate) index: u16,
    /// The blake3 hash of all of this.
    pub(crate) digest: [u8; 32],
}

impl GenesisRecord {
    pub(crate) fn new(genesis: Genesis, stamp: Stamp, index: u16) -> Self {
        let mut record = Self { genesis, stamp, index, digest: [0; 32] };
        record.digest = *blake3::hash(&record.encode()).as_bytes();
        record
    }

    /// The bytes in a checkpoint.
    pub(crate) fn encode(&self) -> Vec<u8> {
        codec::encode(&(&self.genesis, self.stamp, self.index))
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, String> {
        let (genesis, stamp, index) =
            codec::decode::<(Genesis, Stamp, u16)>(bytes).map_err(|error| error.to_string())?;
        check_genesis(&genesis)?;
        Ok(Self::new(genesis, stamp, index))
    }

    /// The first answer, for replays.
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

/// Whether a ledger can be bootstrapped with this genesis. Check it before proposing it: every node
/// refuses a journal that begins with an invalid one.
///
/// # Errors
/// Names the setting and its error.
pub fn check_genesis(genesis: &Genesis) -> Result<(), String> {
    let assets = &genesis.assets;
    if assets.is_empty() || assets.len() > ASSETS_MAX {
        return Err(format!("assets: {} are named, 1 to {ASSETS_MAX} are allowed", assets.len()));
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

/// The times of fresh ids: milliseconds since the Unix epoch, both inclusive.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IdWindow {
    pub(crate) oldest_ms: u64,
    pub(crate) newest_ms: u64,
}

impl IdWindow {
    /// The window at a time in microseconds. Ids older than the horizon are expired, ids more than
    /// the tolerance ahead are in the future; the bounds themselves are fresh.
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
