//! The settings that the rules depend on.

use evenkeel_wire::{amount::Asset, genesis::Genesis};

/// What genesis sets.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The assets that accounts can hold.
    pub assets: Vec<Asset>,
    /// A wallet's limit unless its opening sets another.
    pub wallet_max_balance: u64,
    /// How old an unknown id may be.
    pub id_horizon_ms: u64,
    /// How far ahead of the entry's time an id may be.
    pub id_tolerance_ms: u64,
}

impl Rules {
    /// A new cluster's assets and wallet limit. Ids of any age are accepted.
    #[must_use]
    pub fn of_new_cluster() -> Self {
        let asset = |name| Asset::parse(name).expect("a name of capital letters");
        Self {
            assets: vec![asset("KRW"), asset("POINT")],
            wallet_max_balance: 2_000_000,
            id_horizon_ms: u64::MAX,
            id_tolerance_ms: u64::MAX,
        }
    }

    pub(crate) fn of_genesis(genesis: &Genesis) -> Self {
        Self {
            assets: genesis.assets.clone(),
            wallet_max_balance: genesis.wallet_max_balance,
            id_horizon_ms: genesis.id_horizon_ms,
            id_tolerance_ms: genesis.id_tolerance_ms,
        }
    }
}
