//! Pages of an account's movements, newest first. They never depend on the size of the entries.
//!
//! A page begins after a cursor, so it stays the same while newer movements arrive. Unsealed
//! movements come from the recent index, the others from indexes; each one is read by its location.

use evenkeel_storage::journal::Part;
use evenkeel_wire::{
    id::AccountId,
    reply::{HistoryPage, TransferView},
    request::Cursor,
    transfer::TransferKind,
};

use super::{
    HistoryError,
    history_reader::{DecidedCommand, HistoryReader},
    rows,
};
use crate::limits::HISTORY_PAGE_MAX;
use evenkeel_ledger::DecidedOutcome;

/// A movement's cursor, its command's location, and its outcome if it's already known.
type ListedMovement = (Cursor, Part, Option<DecidedOutcome>);

impl HistoryReader<'_> {
    /// A page of an account's committed movements.
    ///
    /// # Errors
    /// When they can't be read.
    pub fn read_page(
        &self,
        account: AccountId,
        limit: u32,
        before: Option<Cursor>,
    ) -> Result<HistoryPage, HistoryError> {
        let limit = usize::try_from(limit.clamp(1, HISTORY_PAGE_MAX)).unwrap_or(1);
        // One more than requested shows whether there's a next page.
        let mut listed = self.list_movements(account, limit + 1, before)?;
        let more = listed.len() > limit;
        listed.truncate(limit);
        let next = if more { listed.last().map(|(cursor, ..)| *cursor) } else { None };
        let items = listed.into_iter().map(|listed| self.movement_view(listed));
        let mut items = items.collect::<Result<Vec<_>, _>>()?;
        self.fill_paid_back(&mut items);
        Ok(HistoryPage { items, next })
    }

    fn list_movements(
        &self,
        account: AccountId,
        wanted: usize,
        before: Option<Cursor>,
    ) -> Result<Vec<ListedMovement>, HistoryError> {
        self.update_recent_index(usize::MAX)?;
        // Recent ones first: a movement that leaves the recent index meanwhile is in an index by
        // then, and older than the oldest one here.
        let recent = self.history.recents.account_movements(account, before, wanted);
        let mut listed: Vec<ListedMovement> =
            recent.into_iter().map(|(cursor, part)| (cursor, part, None)).collect();
        if listed.len() < wanted {
            let older = listed.last().map(|(cursor, ..)| *cursor).or(before);
            let older = older.map(|cursor| (cursor.position, cursor.command));
            let sealed =
                self.history.indexes.history(account.number(), older, wanted - listed.len())?;
            listed.extend(sealed.into_iter().map(|found| {
                let cursor = Cursor { position: found.position, command: found.command };
                (cursor, found.part, Some(rows::outcome_from_row(&found.outcome)))
            }));
        }
        Ok(listed)
    }

    fn movement_view(
        &self,
        (cursor, part, decided): ListedMovement,
    ) -> Result<TransferView, HistoryError> {
        let Cursor { position, command } = cursor;
        let decided = match decided {
            Some(decided) => decided,
            None => self.command_outcome(position, command)?,
        };
        let told = self.read_decided_at(position, command, decided.outcome, &part)?;
        let view = self.transfer_view(told)?;
        view.ok_or_else(|| {
            HistoryError::new(format!("entry {position}, command {command}: it moved nothing"))
        })
    }

    /// A committed command as a movement, without later refunds. `None`: it moved no money.
    pub(crate) fn transfer_view(
        &self,
        told: DecidedCommand,
    ) -> Result<Option<TransferView>, HistoryError> {
        let DecidedCommand { stamp, command, outcome, .. } = told;
        let moved = self.resolve_movement(command, &outcome)?;
        Ok(moved.map(|transfer| {
            let refunded = (transfer.kind == TransferKind::Payment).then_some(0);
            let index = outcome.index;
            TransferView { transfer, refunded, reversed_by: None, stamp, index }
        }))
    }

    /// Fills in each movement's current refunds and reversal.
    pub(crate) fn fill_paid_back(&self, views: &mut [TransferView]) {
        let ids: Vec<_> = views.iter().map(|view| view.transfer.id).collect();
        let paid_back = self.ledger.paid_back(&ids);
        for (view, (refunded, reversed_by)) in views.iter_mut().zip(paid_back) {
            view.refunded = view.refunded.map(|_| refunded);
            view.reversed_by = reversed_by;
        }
    }

    /// A committed movement with its current refunds and reversal. `None`: no movement has this id.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn find_transfer(
        &self,
        id: evenkeel_wire::id::CommandId,
    ) -> Result<Option<TransferView>, HistoryError> {
        let Some(told) = self.find_committed(id)? else { return Ok(None) };
        let Some(mut view) = self.transfer_view(told)? else { return Ok(None) };
        self.fill_paid_back(std::slice::from_mut(&mut view));
        Ok(Some(view))
    }
}
