//! The ledger compared with the model.

use super::*;

/// Whether the ledger has the state of the model.
pub(crate) fn compare(model: &Model, world: &World) -> Result<(), TestCaseError> {
    if model.genesis.is_none() {
        return Ok(());
    }
    prop_assert_eq!(world.ledger.totals().assets, model.totals());
    for asset in ["KRW", "POINT"] {
        prop_assert_eq!(model.sum(asset, AccountKind::ALL), 0);
    }
    for (id, movement) in &model.movements {
        prop_assert_eq!(i128::from(world.ledger.refunded_total(*id)), movement.refunded);
        prop_assert_eq!(world.ledger.reversed_by(*id), movement.reversed_by);
    }
    compare_keys(model, world)?;
    compare_days(model, world)?;
    prop_assert_eq!(world.ledger.account_count(), model.accounts.len());
    let limit = |limit: Option<u64>| limit.map(i128::from);
    for (id, account) in &model.accounts {
        let view = world.ledger.account(*id).unwrap();
        let opening = &account.opening;
        let opened = (opening.kind, opening.asset, &opening.label);
        prop_assert_eq!((view.kind, view.asset, &view.label), opened);
        prop_assert_eq!(view.opened_at, account.opened.first.unwrap().recorded_at);
        prop_assert_eq!(Some(view.position), world.ledger.position());
        prop_assert_eq!((view.posted.into(), view.status), (account.posted, account.status));
        prop_assert_eq!(i128::from(view.held), model.held(*id));
        prop_assert_eq!(i128::from(view.debited_today), account.debited);
        let limits = [view.max_balance, view.per_transfer, view.daily_debit].map(limit);
        let expected = [account.max_balance, account.per_transfer, account.daily_debit];
        prop_assert_eq!(limits, expected);
    }
    let mut due = Vec::new();
    for (id, (hold, expires_at, open)) in &model.holds {
        let found = world.ledger.open_hold(*id);
        prop_assert_eq!(found.is_some(), *open);
        prop_assert_eq!(world.ledger.find_recent_resolution(*id).is_some(), !open);
        if let Some(found) = found {
            let parties = (found.debit, found.credit, found.amount);
            prop_assert_eq!(parties, (hold.debit, hold.credit, hold.amount.0));
            prop_assert_eq!(i128::from(found.expires_at), *expires_at);
            due.push((*expires_at, *id));
        }
    }
    due.sort_unstable();
    let next = due.first().map(|(expires_at, _)| *expires_at);
    prop_assert_eq!(world.ledger.next_expiry().map(i128::from), next);
    let now = model.now;
    let due: Vec<_> = due.iter().filter(|(at, _)| *at <= now).map(|(_, id)| *id).collect();
    prop_assert_eq!(world.ledger.due_holds(world.ledger.time(), 99), due);
    Ok(())
}

fn compare_keys(model: &Model, world: &World) -> Result<(), TestCaseError> {
    let views = world.ledger.keys();
    prop_assert_eq!(views.len(), model.keys.len());
    for ((number, (create, _, revoked)), view) in (1..).zip(&model.keys).zip(views) {
        prop_assert_eq!(view.key, KeyId(number));
        let found = (view.role, view.account, view.revoked);
        prop_assert_eq!(found, (create.role, create.account, *revoked));
        prop_assert_eq!(world.ledger.key(&create.hash), Some(view));
    }
    prop_assert_eq!(world.ledger.key(&[0xee; 32]), None);
    Ok(())
}

fn compare_days(model: &Model, world: &World) -> Result<(), TestCaseError> {
    let today = model.days.last().unwrap();
    prop_assert_eq!(world.ledger.business_date(), Some(today.date));
    prop_assert_eq!(world.ledger.closed_day(today.date), None);
    for day in &model.days {
        let Some((last_position, link, closing)) = &day.closed else { continue };
        let report = world.ledger.closed_day(day.date).unwrap();
        prop_assert_eq!(report.date, day.date);
        let positions = (report.first_position, report.last_position);
        prop_assert_eq!(positions, (day.first_position, *last_position));
        prop_assert_eq!(report.link, *link);
        for (row, (opening, closing)) in report.assets.iter().zip(day.opening.iter().zip(closing)) {
            prop_assert_eq!((&row.opening, &row.closing), (opening, closing));
            let moved = row.movements.iter().map(|row| (row.kind, row.count, i128::from(row.sum)));
            let of_asset = day.movements.iter().filter(|((asset, _), _)| *asset == opening.asset);
            let expected = of_asset.map(|((_, kind), (count, sum))| (*kind, *count, *sum));
            prop_assert!(moved.eq(expected));
        }
    }
    Ok(())
}
