//! The clients' random commands: movements, holds and their ends, refunds. Most are valid, some
//! never are.

use evenkeel_wire::{
    amount::Amount,
    command::Command,
    hold::{Capture, Hold, Void},
    id::{AccountId, CommandId},
    refund::Refund,
    reversal::Reversal,
    transfer::{Text, Transfer, TransferKind},
};

use super::{BANK, MERCHANT, SimulatedClient, krw_asset, wallet};

/// Holds that a client keeps for later commands.
const HOLDS_REMEMBERED: usize = 20;

impl SimulatedClient {
    pub(crate) fn transfer(&mut self) -> Command {
        use TransferKind::{CashOut, Payment, TopUp};
        let (one, other) = (wallet(&mut self.random), wallet(&mut self.random));
        let (kind, debit, credit) = match self.random.below(100) {
            0..30 => (TopUp, BANK, one),
            30..75 => (TransferKind::Transfer, one, other),
            75..88 => (Payment, one, MERCHANT),
            88..97 => (CashOut, one, BANK),
            97..99 => (TransferKind::Transfer, one, MERCHANT),
            _ => (TransferKind::Transfer, one, AccountId::new(9_999)),
        };
        let amount = match self.random.below(50) {
            0 => 0,
            1 => 3_000_000,
            _ => self.random.between(1, 60_000),
        };
        Command::Transfer(Transfer {
            id: self.id(),
            debit,
            credit,
            amount: Amount(amount),
            asset: krw_asset(),
            kind,
            reference: Text::default(),
            memo: Text::default(),
        })
    }

    fn id(&mut self) -> CommandId {
        // A client's clock is right, whatever the sites' are.
        let now = self.sites[0].clock.true_micros() / 1_000;
        CommandId::from_parts(now, self.random.next_u128())
    }

    /// A new hold, or the end of one, which may have expired, be closed, or never have existed.
    pub(crate) fn hold(&mut self) -> Command {
        let id = self.id();
        let known = !self.holds.is_empty() && self.random.chance(60);
        if !known {
            self.holds.push(id);
            if self.holds.len() > HOLDS_REMEMBERED {
                self.holds.remove(0);
            }
            return Command::Hold(Hold {
                id,
                debit: wallet(&mut self.random),
                credit: MERCHANT,
                amount: Amount(self.random.between(0, 20_000)),
                asset: krw_asset(),
                expires_in_ms: self.random.between(1, 6_000),
                memo: Text::default(),
            });
        }
        let hold = *self.random.pick(&self.holds);
        match self.random.below(10) {
            0..5 => Command::Capture(Capture { id, hold, amount: None }),
            5..7 => {
                let amount = Some(Amount(self.random.between(0, 20_000)));
                Command::Capture(Capture { id, hold, amount })
            }
            _ => Command::Void(Void { id, hold }),
        }
    }

    /// Refunds a recent transfer of any kind.
    pub(crate) fn random_refund(&mut self) -> Command {
        let id = self.id();
        let known =
            if self.done.is_empty() { None } else { self.random.pick(&self.done).command.id() };
        let of = known.unwrap_or(id);
        if self.random.chance(30) {
            let reason = Text::new("wrong").expect("short");
            return Command::Reversal(Reversal { id, transfer: of, reason });
        }
        let amount = self.random.chance(50).then(|| Amount(self.random.between(0, 20_000)));
        Command::Refund(Refund { id, payment: of, amount, memo: Text::default() })
    }
}
