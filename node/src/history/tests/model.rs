//! The slow model: each answer is found by scanning everything that was ever decided.

use std::collections::BTreeMap;

use evenkeel_wire::{
    amount::Amount,
    command::Command,
    hold::{Hold, HoldStatus},
    id::{AccountId, CommandId},
    outcome::{Outcome, Stamp},
    reply::{HoldView, TransferView},
    request::Cursor,
    transfer::{Text, Transfer, TransferKind},
};

use super::site::{Given, Site};

impl Given {
    pub(crate) fn stamp(&self) -> Stamp {
        let head = &self.head;
        let (position, term, recorded_at, link) = (head.position, head.term, head.time, head.link);
        Stamp { position, term, recorded_at, link }
    }

    pub(crate) fn cursor(&self) -> Cursor {
        Cursor { position: self.head.position, command: self.number }
    }

    pub(crate) fn is_new(&self) -> bool {
        !self.replayed && self.outcome.index != Outcome::NO_INDEX
    }

    pub(crate) fn is_committed(&self) -> bool {
        self.is_new() && self.outcome.rejection.is_none()
    }
}

/// Everything that was committed, by id.
pub(crate) struct Model<'a> {
    site: &'a Site,
    by_id: BTreeMap<u128, &'a Given>,
    /// The command that closed each hold.
    closed: BTreeMap<u128, &'a Given>,
    refunded: BTreeMap<u128, u64>,
    reversed: BTreeMap<u128, CommandId>,
}

impl<'a> Model<'a> {
    pub(crate) fn new(site: &'a Site) -> Self {
        let (by_id, closed, refunded, reversed) = Default::default();
        let mut model = Self { site, by_id, closed, refunded, reversed };
        for given in site.given.iter().filter(|given| given.is_committed()) {
            if let Some(id) = given.command.id() {
                assert!(model.by_id.insert(id.number(), given).is_none(), "{id} twice");
            }
            match &given.command {
                Command::Refund(refund) => {
                    *model.refunded.entry(refund.payment.number()).or_default() +=
                        given.outcome.amount;
                }
                Command::Reversal(reversal) => {
                    model.reversed.insert(reversal.transfer.number(), reversal.id);
                }
                Command::Capture(capture) => {
                    model.closed.insert(capture.hold.number(), given);
                }
                Command::Void(void) => {
                    model.closed.insert(void.hold.number(), given);
                }
                Command::ExpireHold(expire) => {
                    model.closed.insert(expire.hold.number(), given);
                }
                _ => {}
            }
        }
        model
    }

    pub(crate) fn committed(&self) -> impl Iterator<Item = &'a Given> {
        self.site.given.iter().filter(|given| given.is_committed())
    }

    /// The movement of a command, as of its own entry.
    pub(crate) fn moved(&self, given: &Given) -> Option<Transfer> {
        let amount = Amount(given.outcome.amount);
        let back = |id: CommandId, of: CommandId, kind, memo: &Text<140>| {
            let of = self.moved(self.by_id[&of.number()]).unwrap();
            let (debit, credit, asset) = (of.credit, of.debit, of.asset);
            let (reference, memo) = (Text::default(), memo.clone());
            Transfer { id, debit, credit, amount, asset, kind, reference, memo }
        };
        Some(match &given.command {
            Command::Transfer(transfer) => transfer.clone(),
            Command::Refund(one) => back(one.id, one.payment, TransferKind::Refund, &one.memo),
            Command::Reversal(one) => {
                back(one.id, one.transfer, TransferKind::Reversal, &one.reason)
            }
            Command::Capture(capture) => {
                let hold = self.asked_hold(capture.hold);
                Transfer {
                    id: capture.id,
                    debit: hold.debit,
                    credit: hold.credit,
                    amount,
                    asset: hold.asset,
                    kind: TransferKind::Payment,
                    reference: Text::default(),
                    memo: hold.memo.clone(),
                }
            }
            _ => return None,
        })
    }

    /// A movement as of its own entry.
    pub(crate) fn view_then(&self, given: &Given) -> Option<TransferView> {
        let transfer = self.moved(given)?;
        let refunded = (transfer.kind == TransferKind::Payment).then_some(0);
        let (stamp, index) = (given.stamp(), given.outcome.index);
        Some(TransferView { transfer, refunded, reversed_by: None, stamp, index })
    }

    /// The current state of a movement.
    pub(crate) fn view(&self, given: &Given) -> Option<TransferView> {
        let mut view = self.view_then(given)?;
        let id = view.transfer.id.number();
        view.refunded = view.refunded.map(|_| self.refunded.get(&id).copied().unwrap_or(0));
        view.reversed_by = self.reversed.get(&id).copied();
        Some(view)
    }

    pub(crate) fn transfer(&self, id: CommandId) -> Option<TransferView> {
        self.view(self.by_id.get(&id.number())?)
    }

    /// An account's movements, newest first, with their cursors.
    pub(crate) fn history(&self, account: AccountId) -> Vec<(Cursor, TransferView)> {
        let all = self.committed().filter_map(|given| Some((given.cursor(), self.view(given)?)));
        let concerns =
            |view: &TransferView| view.transfer.debit == account || view.transfer.credit == account;
        let mut found: Vec<_> = all.filter(|(_, view)| concerns(view)).collect();
        found.reverse();
        found
    }

    fn asked_hold(&self, id: CommandId) -> &'a Hold {
        match &self.by_id[&id.number()].command {
            Command::Hold(hold) => hold,
            other => panic!("{id} is {other:?}"),
        }
    }

    /// A hold as of the entry that opened it.
    pub(crate) fn hold_then(&self, id: CommandId) -> HoldView {
        let given = self.by_id[&id.number()];
        let hold = self.asked_hold(id).clone();
        let expires_at = given.head.time + hold.expires_in_ms * 1_000;
        let (stamp, index) = (given.stamp(), given.outcome.index);
        let status = HoldStatus::Open;
        HoldView { hold, status, expires_at, closed_by: None, captured: 0, stamp, index }
    }

    /// A hold after the command that closed it.
    pub(crate) fn hold_after(&self, id: CommandId, by: &Given) -> HoldView {
        let view = self.hold_then(id);
        match &by.command {
            Command::Capture(capture) => HoldView {
                status: HoldStatus::Captured,
                closed_by: Some(capture.id),
                captured: by.outcome.amount,
                ..view
            },
            Command::Void(void) => {
                HoldView { status: HoldStatus::Voided, closed_by: Some(void.id), ..view }
            }
            _ => HoldView { status: HoldStatus::Expired, ..view },
        }
    }

    /// The current state of a hold. `None`: no hold has this id.
    pub(crate) fn hold(&self, id: CommandId) -> Option<HoldView> {
        let given = self.by_id.get(&id.number())?;
        let Command::Hold(_) = &given.command else { return None };
        if let Some(by) = self.closed.get(&id.number()) {
            return Some(self.hold_after(id, by));
        }
        let view = self.hold_then(id);
        let now = self.site.given.iter().map(|given| given.head.time).max().unwrap();
        let is_due = view.expires_at <= now;
        let status = if is_due { HoldStatus::Expired } else { HoldStatus::Open };
        Some(HoldView { status, ..view })
    }
}
