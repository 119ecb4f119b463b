//! Genesis: the first command, which all others depend on.

use evenkeel_wire::{genesis::Genesis, outcome::Rejection};

use super::{
    context::CommandContext,
    verdict::{Committed, Stop},
};
use crate::{
    fault::LedgerFault,
    tables::{
        Tables,
        genesis::{GenesisRecord, check_genesis},
    },
};

/// The first genesis bootstraps the ledger; the same again replays, any other one is `id_reused`.
pub(crate) fn judge(
    tables: &Tables,
    genesis: &Genesis,
    context: &CommandContext<'_>,
) -> Result<GenesisRecord, Stop> {
    if let Some(record) = &tables.genesis {
        return Err(if record.genesis == *genesis {
            Stop::Replayed(record.first_answer())
        } else {
            Stop::Rejected(Rejection::IdReused)
        });
    }
    let position = context.position();
    if context.in_group {
        let fault = format!("position {position}: genesis in an atomic group");
        return Err(LedgerFault::new(fault).into());
    }
    check_genesis(genesis)
        .map_err(|error| LedgerFault::new(format!("position {position}: {error}")))?;
    Ok(GenesisRecord::new(genesis.clone(), context.head().stamp(), context.next_index))
}

/// Bootstraps the ledger.
pub(crate) fn apply(tables: &mut Tables, record: GenesisRecord) -> Committed {
    let genesis = &record.genesis;
    tables.accounts.bootstrap(&genesis.assets, genesis.wallet_max_balance);
    tables.days.bootstrap(&genesis.assets, genesis.first_date);
    tables.keys.bootstrap(genesis.operator_key, record.stamp.position, record.index);
    tables.genesis = Some(record);
    Committed::NOTHING
}
