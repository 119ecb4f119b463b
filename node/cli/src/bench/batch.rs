//! Batches of random transfers, encoded straight into the send buffer. A batch keeps enough data to
//! be encoded again with the same ids.

use std::sync::atomic::Ordering;

use evenkeel_wire::{
    amount::Amount,
    codec,
    command::Command,
    id::CommandId,
    transfer::{Text, Transfer, TransferKind},
};
use tokio::time::Instant;

use super::BenchPlan;
use crate::Failure;
use evenkeel_node::clock::{Clock, SystemClock};

/// Small compared with the wallets' balances, so that few transfers are rejected.
const AMOUNT_MAX: u64 = 100;

/// One transfer; the accounts are indexes into the account list.
pub(crate) struct Move {
    pub(crate) id: CommandId,
    pub(crate) debit: usize,
    pub(crate) credit: usize,
    pub(crate) amount: u64,
}

/// The batch that a caller has in flight.
pub(crate) struct TransferBatch {
    pub(crate) moves: Vec<Move>,
    pub(crate) started: Instant,
}

impl TransferBatch {
    /// The next batch of the plan, or `None` when all transfers are issued.
    pub(crate) fn next(plan: &BenchPlan, random: &mut Random) -> Option<Self> {
        let taken = plan.issued.fetch_add(u64::from(plan.batch), Ordering::Relaxed);
        let left = plan.transfers.saturating_sub(taken);
        let count = u32::try_from(left).unwrap_or(u32::MAX).min(plan.batch);
        if count == 0 {
            return None;
        }
        let now = SystemClock.wall_millis();
        let wallets = plan.accounts.wallets.len();
        let moves = (0..count).map(|_| {
            let debit = random.next_below(wallets);
            // Any other wallet, uniformly distributed.
            let credit = (debit + 1 + random.next_below(wallets - 1)) % wallets;
            let amount = 1 + random.next_u64() % AMOUNT_MAX;
            Move { id: random.command_id(now), debit, credit, amount }
        });
        Some(Self { moves: moves.collect(), started: Instant::now() })
    }

    pub(crate) fn count(&self) -> u32 {
        u32::try_from(self.moves.len()).expect("at most a batch")
    }

    /// The commands; every call yields the same ones.
    pub(crate) fn commands(&self, plan: &BenchPlan) -> impl Iterator<Item = Command> {
        let accounts = &plan.accounts;
        self.moves.iter().map(|made| {
            Command::Transfer(Transfer {
                id: made.id,
                debit: accounts.wallets[made.debit],
                credit: accounts.wallets[made.credit],
                amount: Amount(made.amount),
                asset: accounts.asset,
                kind: TransferKind::Transfer,
                reference: Text::default(),
                memo: Text::default(),
            })
        })
    }

    /// Appends the commands to `buffer`.
    pub(crate) fn encode_into(&self, plan: &BenchPlan, buffer: &mut Vec<u8>) {
        for command in self.commands(plan) {
            codec::encode_into(&command, buffer);
        }
    }
}

/// A small fast generator (splitmix64), seeded by the operating system: ids must differ from those
/// of other runs.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new() -> Result<Self, Failure> {
        let mut seed = [0; 8];
        getrandom::fill(&mut seed).map_err(|error| {
            Failure::failed(format!("the system's random source failed: {error}"))
        })?;
        Ok(Self(u64::from_le_bytes(seed)))
    }

    pub(crate) fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn next_u128(&mut self) -> u128 {
        u128::from(self.next_u64()) << 64 | u128::from(self.next_u64())
    }

    /// Uniform in `0..bound`.
    pub(crate) fn next_below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).expect("a length fits");
        usize::try_from(self.next_u64() % bound).expect("less than a length")
    }

    pub(crate) fn command_id(&mut self, milliseconds: u64) -> CommandId {
        CommandId::from_parts(milliseconds, self.next_u128())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_places_are_within_bounds_and_reach_all() {
        let mut random = Random(7);
        let mut seen = [false; 5];
        for _ in 0..200 {
            seen[random.next_below(5)] = true;
        }
        assert_eq!(seen, [true; 5]);
    }
}
