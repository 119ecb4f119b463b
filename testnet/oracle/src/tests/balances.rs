//! A wrong balance, a wrong field of an account and a sum that isn't zero are found.

use evenkeel_wire::{
    account::AccountStatus,
    reply::{AccountView, Totals},
};

use super::world::*;
use crate::{model::Model, sums::check_totals};

/// A site's view of TIGHT, which has something in each field.
fn view(model: &Model) -> AccountView {
    let (opening, state) = model.find_account(TIGHT).unwrap();
    AccountView {
        id: TIGHT,
        kind: opening.kind,
        asset: opening.asset,
        label: opening.label.clone(),
        status: state.status,
        posted: state.posted,
        held: state.held,
        max_balance: state.max_balance,
        per_transfer: state.per_transfer,
        daily_debit: state.daily_debit,
        debited_today: state.debited_today,
        opened_at: NOW,
        position: NEXT.position,
    }
}

#[test]
fn each_field_of_an_account_is_compared() {
    let mut model = begun();
    commit(&mut model, NEXT, &hold(90, TIGHT, SHOP, 7));
    let right = view(&model);
    assert_eq!((right.posted, right.held, right.debited_today), (480, 7, 27));
    assert!(model.check_account(TIGHT, Some(&right)).is_ok());
    let wrongs: [fn(&mut AccountView); 7] = [
        |view| view.status = AccountStatus::Frozen,
        |view| view.posted += 1,
        |view| view.held -= 1,
        |view| view.max_balance = None,
        |view| view.per_transfer = Some(51),
        |view| view.daily_debit = None,
        |view| view.debited_today = 20,
    ];
    for spoil in wrongs {
        let mut wrong = right.clone();
        spoil(&mut wrong);
        assert!(model.check_account(TIGHT, Some(&wrong)).is_err(), "{wrong:?}");
    }
    assert!(model.check_account(TIGHT, None).is_err(), "it was opened");
    assert!(model.check_account(NOBODY, Some(&right)).is_err(), "it wasn't opened");
    assert!(model.check_account(NOBODY, None).is_ok());
}

#[test]
fn balances_are_those_of_their_position() {
    let mut model = begun();
    commit(&mut model, NEXT, &pay(90, RICH, SHOP, 100));
    let before = NEXT.position - 1;
    for (account, position, posted, is_right) in [
        (RICH, NEXT.position, Some(RICH_HAS - 100), true),
        (RICH, before, Some(RICH_HAS), true),
        (RICH, before, Some(RICH_HAS - 100), false),
        (RICH, NEXT.position, Some(RICH_HAS), false),
        (RICH, NEXT.position, None, false),
        (RICH, 0, None, true),
        (RICH, 0, Some(0), false),
        (POOR, NEXT.position, Some(0), true),
        (NOBODY, NEXT.position, None, true),
        (NOBODY, NEXT.position, Some(0), false),
    ] {
        let checked = model.check_balance(account, position, posted);
        assert_eq!(checked.is_ok(), is_right, "{account} at {position}: {posted:?}");
    }
}

#[test]
fn a_sum_that_is_not_zero_is_found() {
    let model = begun();
    let assets = vec![model.totals(asset("KRW")), model.totals(asset("POINT"))];
    let right = Totals { position: 9, assets };
    assert!(check_totals(&right).is_ok());
    let wrongs: [fn(&mut Totals); 6] = [
        |totals| totals.assets[0].wallet += 1,
        |totals| totals.assets[0].merchant -= 1,
        |totals| totals.assets[0].bank += 1,
        |totals| totals.assets[0].fee += 1,
        |totals| totals.assets[1].issuer += 1,
        |totals| totals.assets[1].wallet -= 1,
    ];
    for spoil in wrongs {
        let mut wrong = right.clone();
        spoil(&mut wrong);
        assert!(check_totals(&wrong).is_err(), "{wrong:?}");
    }
}
