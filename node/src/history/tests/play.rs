//! A random history: all commands, their replays, failing atomic groups, ends of days, and turns of
//! the keeper in between.

use evenkeel_wire::{
    account::AccountStatus,
    command::Command,
    day::BusinessDate,
    id::{AccountId, CommandId},
    key::RevokeKey,
    transfer::TransferKind,
};

use super::{
    site::Site,
    words::{
        BANK, FEES, ISSUER, MERCHANTS, WALLETS, capture, close_day, expire, first_date, genesis,
        hold, limits, openings, refund, reversal, status, transfer, void,
    },
};

/// splitmix64, so that a failing test can be repeated.
pub(crate) struct Random(pub(super) u64);

impl Random {
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        usize::try_from(mixed % u64::try_from(limit).unwrap()).unwrap()
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        if from.is_empty() { None } else { Some(from[self.below(from.len())]) }
    }
}

/// Generates a site's history, and remembers ids to use again.
pub(crate) struct Play {
    pub(crate) random: Random,
    serial: u128,
    movements: Vec<CommandId>,
    holds: Vec<CommandId>,
    sent: Vec<Command>,
    pub(crate) date: BusinessDate,
}

impl Play {
    pub(crate) fn new(seed: u64) -> Self {
        let (movements, holds, sent) = Default::default();
        Self { random: Random(seed), serial: 0, movements, holds, sent, date: first_date() }
    }

    /// Genesis, the accounts, and some money.
    pub(crate) fn found(&mut self, site: &mut Site) {
        site.commands(&[genesis()]);
        site.commands(&openings());
        for wallet in WALLETS {
            let top_up = self.transfer(site, TransferKind::TopUp, BANK, wallet, 1_000_000);
            site.committed(top_up);
        }
    }

    pub(crate) fn entries(&mut self, site: &mut Site, entries: usize) {
        for _ in 0..entries {
            self.entry(site);
            if self.random.below(4) == 0 {
                site.turn();
            }
        }
    }

    fn entry(&mut self, site: &mut Site) {
        match self.random.below(60) {
            0 => return site.blank(),
            1 => {
                site.committed(close_day(self.date));
                self.date = self.date.next();
                return;
            }
            2 => {
                // The wrong day: rejected, and not an event.
                site.commands(&[close_day(self.date.next())]);
                return;
            }
            3 => {
                site.commands(&[Command::RevokeKey(RevokeKey {
                    key: evenkeel_wire::id::KeyId(77),
                })]);
                return;
            }
            4 => {
                // Time passes, and the primary releases what is due, some of it twice and some too
                // early.
                site.now += 60_000_000;
                let due: Vec<_> = self.holds.iter().map(|hold| expire(*hold)).collect();
                site.commands(&due[due.len().saturating_sub(40)..]);
                return;
            }
            _ => {}
        }
        let groups = 1 + self.random.below(3);
        let groups: Vec<_> = (0..groups)
            .map(|_| {
                let atomic = self.random.below(4) == 0;
                let commands = 1 + self.random.below(6);
                (atomic, (0..commands).map(|_| self.command(site)).collect())
            })
            .collect();
        site.entry(&groups);
    }

    fn id(&mut self, site: &Site) -> CommandId {
        self.serial += 1;
        site.id(self.serial)
    }

    fn transfer(
        &mut self,
        site: &Site,
        kind: TransferKind,
        debit: AccountId,
        credit: AccountId,
        amount: u64,
    ) -> Command {
        let id = self.id(site);
        self.movements.push(id);
        transfer(id, kind, debit, credit, amount)
    }

    fn command(&mut self, site: &Site) -> Command {
        if self.random.below(12) == 0 && !self.sent.is_empty() {
            let back = self.random.below(self.sent.len().min(500));
            return self.sent[self.sent.len() - 1 - back].clone();
        }
        let command = self.new_command(site);
        self.sent.push(command.clone());
        command
    }

    fn new_command(&mut self, site: &Site) -> Command {
        use TransferKind::{CashOut, Fee, Grant, Payment, TopUp, Transfer};
        let wallet = self.random.below(WALLETS.len());
        let merchant = self.random.below(MERCHANTS.len());
        let (from, to) = (WALLETS[wallet], MERCHANTS[merchant]);
        // Mostly small; occasionally more than any account has.
        let amount =
            if self.random.below(20) == 0 { 90_000_000 } else { 1 + self.random.below(500) };
        let amount = u64::try_from(amount).unwrap();
        let any = CommandId::from_parts(site.now / 1_000, 99 << 70);
        let recent = |all: &[CommandId]| all[all.len().saturating_sub(200)..].to_vec();
        match self.random.below(24) {
            0 => self.transfer(site, TopUp, BANK, from, amount),
            1 => self.transfer(site, Grant, ISSUER, from, amount),
            2 => self.transfer(site, Fee, to, FEES, amount),
            3 => self.transfer(site, Fee, from, FEES, amount),
            4 => self.transfer(site, CashOut, to, BANK, amount),
            5 => self.transfer(site, Transfer, from, WALLETS[(wallet + 1) % 3], amount),
            6..=9 => self.transfer(site, Payment, from, to, amount),
            10..=12 => {
                let id = self.id(site);
                self.holds.push(id);
                hold(id, wallet, merchant, amount, [50, 5_000, 90_000][self.random.below(3)])
            }
            13..=15 => {
                let id = self.id(site);
                self.movements.push(id);
                let hold = self.random.pick(&recent(&self.holds)).unwrap_or(any);
                let part = (self.random.below(2) == 0).then_some(1 + amount / 2);
                capture(id, hold, part)
            }
            16 => {
                let hold = self.random.pick(&recent(&self.holds)).unwrap_or(any);
                void(self.id(site), hold)
            }
            17..=19 => {
                let payment = self.random.pick(&recent(&self.movements)).unwrap_or(any);
                let part = (self.random.below(3) > 0).then_some(1 + amount / 4);
                let id = self.id(site);
                self.movements.push(id);
                refund(id, payment, part)
            }
            20..=21 => {
                let movement = self.random.pick(&recent(&self.movements)).unwrap_or(any);
                let id = self.id(site);
                self.movements.push(id);
                reversal(id, movement)
            }
            22 => {
                let new = [AccountStatus::Open, AccountStatus::Open, AccountStatus::Frozen];
                status(self.id(site), from, new[self.random.below(3)])
            }
            _ => limits(self.id(site), from, 1_000_000),
        }
    }
}
