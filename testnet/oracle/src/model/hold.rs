//! Holds: set aside once; captured, voided or released once.

use evenkeel_wire::{
    hold::{Capture, Hold, HoldStatus, Void},
    id::CommandId,
    outcome::{Outcome, Rejection},
    transfer::TransferKind,
};

use super::{
    Decision, Effect, Judgement, Model, Moment, committed_outcome, movement::Flow, valid_amount,
};

/// A hold that was taken up, as it stands.
#[derive(Clone, Debug)]
pub struct HoldState {
    pub hold: Hold,
    /// Microseconds since the Unix epoch.
    pub expires_at: u64,
    pub status: HoldStatus,
    /// The capture or void that closed it.
    pub closed_by: Option<CommandId>,
    pub captured: i64,
}

impl HoldState {
    fn to_flow(&self) -> Flow {
        let (debit, credit) = (self.hold.debit, self.hold.credit);
        let amount = i64::try_from(self.hold.amount.0).expect("judged before");
        Flow { kind: TransferKind::Payment, debit, credit, amount }
    }

    fn is_open_at(&self, time: u64) -> bool {
        self.status == HoldStatus::Open && time < self.expires_at
    }
}

impl Model {
    pub(crate) fn hold(&mut self, at: Moment, hold: &Hold) -> Judgement<Effect> {
        let amount = valid_amount(hold.amount.0)?;
        let (debit, credit) = (hold.debit, hold.credit);
        let flow = Flow { kind: TransferKind::Payment, debit, credit, amount };
        self.check_parties(flow, hold.asset)?;
        self.check_status(flow)?;
        self.check_debit_limits(flow)?;
        self.check_funds(flow)?;
        let payer = self.account_mut(debit);
        payer.count_debit(amount);
        payer.state.held += amount;
        self.account_mut(credit).incoming_holds += 1;
        let expires_at = at.time.saturating_add(hold.expires_in_ms.saturating_mul(1_000));
        let state = HoldState {
            hold: hold.clone(),
            expires_at,
            status: HoldStatus::Open,
            closed_by: None,
            captured: 0,
        };
        self.holds.insert(hold.id, state);
        Ok(Effect { amount, ..Effect::default() })
    }

    /// A payment with the capture's id. It counts for no limit of debits: the hold did.
    pub(crate) fn capture(&mut self, at: Moment, capture: Capture) -> Judgement<Effect> {
        let asked = capture.amount.map(|amount| valid_amount(amount.0)).transpose()?;
        let held = self.holds.get(&capture.hold).ok_or(Rejection::HoldNotFound)?;
        let (whole, is_open) = (held.to_flow(), held.is_open_at(at.time));
        self.check_status(whole)?;
        if !is_open {
            return Err(Rejection::HoldNotOpen);
        }
        let amount = asked.unwrap_or(whole.amount);
        if amount > whole.amount {
            return Err(Rejection::CaptureExceedsHold);
        }
        let flow = Flow { amount, ..whole };
        self.check_room(flow)?;
        self.close_hold(capture.hold, HoldStatus::Captured, Some(capture.id), amount);
        self.counts.captured += 1;
        Ok(self.move_money(at.position, capture.id, flow))
    }

    /// Looks at no account: it moves nothing.
    pub(crate) fn void(&mut self, at: Moment, void: Void) -> Judgement<Effect> {
        let held = self.holds.get(&void.hold).ok_or(Rejection::HoldNotFound)?;
        if !held.is_open_at(at.time) {
            return Err(Rejection::HoldNotOpen);
        }
        let amount = held.to_flow().amount;
        self.close_hold(void.hold, HoldStatus::Voided, Some(void.id), 0);
        self.counts.voided += 1;
        Ok(Effect { amount, ..Effect::default() })
    }

    /// A release that comes too early or too late does nothing and has no outcome.
    pub(crate) fn expire(&mut self, at: Moment, id: CommandId) -> Decision {
        let is_due =
            |held: &&HoldState| held.status == HoldStatus::Open && held.expires_at <= at.time;
        let Some(held) = self.holds.get(&id).filter(is_due) else {
            return Decision::first(committed_outcome(Outcome::NO_INDEX, Effect::default()));
        };
        let amount = held.to_flow().amount;
        self.close_hold(id, HoldStatus::Expired, None, 0);
        self.counts.expired += 1;
        Decision::first(committed_outcome(at.index, Effect { amount, ..Effect::default() }))
    }

    fn close_hold(
        &mut self,
        id: CommandId,
        status: HoldStatus,
        closed_by: Option<CommandId>,
        captured: i64,
    ) {
        let held = self.holds.get_mut(&id).expect("judged before");
        (held.status, held.closed_by, held.captured) = (status, closed_by, captured);
        let whole = held.to_flow();
        self.account_mut(whole.debit).state.held -= whole.amount;
        self.account_mut(whole.credit).incoming_holds -= 1;
    }

    /// A hold that was taken up.
    #[must_use]
    pub fn find_hold(&self, id: CommandId) -> Option<&HoldState> {
        self.holds.get(&id)
    }

    /// An open hold whose time was up before this one, if there is one.
    #[must_use]
    pub fn overdue_hold(&self, time: u64) -> Option<CommandId> {
        let is_overdue =
            |held: &&HoldState| held.status == HoldStatus::Open && held.expires_at < time;
        self.holds.values().find(is_overdue).map(|held| held.hold.id)
    }
}
