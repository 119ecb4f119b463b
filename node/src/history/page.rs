//! Pages of an account's movements, newest first.
//!
//! A page begins behind a place, so it stays what it was while newer movements come. What isn't sealed is taken from the
//! notes of recent entries, the rest from indexes; each movement is read by its place, however large its entry.

use evenkeel_storage::journal::Part;
use evenkeel_wire::{
    id::AccountId,
    reply::{HistoryPage, TransferView},
    request::Cursor,
    transfer::TransferKind,
};

use super::{
    Lost,
    history_reader::{Past, Told},
    rows,
};
use crate::limits::HISTORY_PAGE_MAX;
use evenkeel_ledger::Decided;

/// A movement's place, where its command stands, and what came of it where that is known already.
type Listed = (Cursor, Part, Option<Decided>);

impl Past<'_> {
    /// A page of an account's committed movements.
    ///
    /// # Errors
    /// When they can't be had.
    pub fn page(
        &self,
        account: AccountId,
        limit: u32,
        before: Option<Cursor>,
    ) -> Result<HistoryPage, Lost> {
        let limit = usize::try_from(limit.clamp(1, HISTORY_PAGE_MAX)).unwrap_or(1);
        // One more than asked for tells whether there is a next page.
        let mut listed = self.listed(account, limit + 1, before)?;
        let more = listed.len() > limit;
        listed.truncate(limit);
        let next = if more { listed.last().map(|(cursor, ..)| *cursor) } else { None };
        let items = listed.into_iter().map(|listed| self.listed_view(listed));
        let mut items = items.collect::<Result<Vec<_>, _>>()?;
        self.tell_paid_back(&mut items);
        Ok(HistoryPage { items, next })
    }

    fn listed(
        &self,
        account: AccountId,
        wanted: usize,
        before: Option<Cursor>,
    ) -> Result<Vec<Listed>, Lost> {
        self.follow(usize::MAX)?;
        // Recent ones first: what leaves them meanwhile is in an index by then, and older than the oldest one here.
        let recent = self.history.recents.of_account(account, before, wanted);
        let mut listed: Vec<Listed> =
            recent.into_iter().map(|(cursor, part)| (cursor, part, None)).collect();
        if listed.len() < wanted {
            let older = listed.last().map(|(cursor, ..)| *cursor).or(before);
            let older = older.map(|cursor| (cursor.position, cursor.command));
            let sealed =
                self.history.indexes.history(account.number(), older, wanted - listed.len())?;
            listed.extend(sealed.into_iter().map(|found| {
                let cursor = Cursor { position: found.position, command: found.command };
                (cursor, found.part, Some(rows::decided(&found.outcome)))
            }));
        }
        Ok(listed)
    }

    fn listed_view(&self, (cursor, part, decided): Listed) -> Result<TransferView, Lost> {
        let Cursor { position, command } = cursor;
        let decided = match decided {
            Some(decided) => decided,
            None => self.decided(position, command)?,
        };
        let told = self.told_at(position, command, decided.outcome, &part)?;
        let view = self.view(told)?;
        view.ok_or_else(|| {
            Lost::new(format!("entry {position}, command {command}: it moved nothing"))
        })
    }

    /// A committed command as a movement, before anything was paid back. `None`: it moved nothing.
    pub(crate) fn view(&self, told: Told) -> Result<Option<TransferView>, Lost> {
        let Told { stamp, command, outcome, .. } = told;
        let moved = self.movement(command, &outcome)?;
        Ok(moved.map(|transfer| {
            let refunded = (transfer.kind == TransferKind::Payment).then_some(0);
            let index = outcome.index;
            TransferView { transfer, refunded, reversed_by: None, stamp, index }
        }))
    }

    /// Says of each movement what was paid back of it by now.
    pub(crate) fn tell_paid_back(&self, views: &mut [TransferView]) {
        let ids: Vec<_> = views.iter().map(|view| view.transfer.id).collect();
        let paid_back = self.ledger.paid_back(&ids);
        for (view, (refunded, reversed_by)) in views.iter_mut().zip(paid_back) {
            view.refunded = view.refunded.map(|_| refunded);
            view.reversed_by = reversed_by;
        }
    }

    /// A committed movement, with what was paid back of it by now. `None`: there is none of this id.
    ///
    /// # Errors
    /// When it can't be had.
    pub fn transfer(&self, id: evenkeel_wire::id::CommandId) -> Result<Option<TransferView>, Lost> {
        let Some(told) = self.find_committed(id)? else { return Ok(None) };
        let Some(mut view) = self.view(told)? else { return Ok(None) };
        self.tell_paid_back(std::slice::from_mut(&mut view));
        Ok(Some(view))
    }
}
