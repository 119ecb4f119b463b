//! One of every query, and one of every view.

use evenkeel_wire::{
    account::{AccountKind, AccountStatus},
    amount::Asset,
    day::BusinessDate,
    hold::HoldStatus,
    id::{AccountId, KeyId, OPERATOR_KEY},
    key::Role,
    reply::{
        AccountView, AssetTotals, DayAsset, DayMovements, DayView, HistoryPage, HoldView, KeyView,
        Totals, TransferView, View,
    },
    request::{Cursor, Query},
    transfer::{Text, TransferKind},
};

use super::{
    commands::{hold, transfer},
    stamp,
};

fn krw() -> Asset {
    Asset::parse("KRW").unwrap()
}

fn cursor() -> Cursor {
    Cursor { position: 41, command: 3 }
}

fn new_years_eve() -> BusinessDate {
    BusinessDate::new(2026, 12, 31).unwrap()
}

/// A payment that was partly refunded.
pub(crate) fn movement() -> TransferView {
    TransferView {
        transfer: transfer(),
        refunded: Some(2_500),
        reversed_by: None,
        stamp: stamp(),
        index: 2,
    }
}

fn account() -> AccountView {
    AccountView {
        id: AccountId::new(5),
        kind: AccountKind::Wallet,
        asset: krw(),
        label: Text::new("지은").unwrap(),
        status: AccountStatus::Frozen,
        posted: 987_654,
        held: 30_000,
        max_balance: Some(2_000_000),
        per_transfer: None,
        daily_debit: Some(1_000_000),
        debited_today: 42_500,
        opened_at: 1_717_171_717_000_000,
        position: 42,
    }
}

fn sums(wallet: i64) -> AssetTotals {
    AssetTotals { asset: krw(), wallet, merchant: 4, bank: -5 - wallet, fee: 1, issuer: 0 }
}

fn captured() -> HoldView {
    HoldView {
        hold: hold(),
        status: HoldStatus::Captured,
        expires_at: 1_717_172_317_171_717,
        closed_by: Some(transfer().id),
        captured: 29_000,
        stamp: stamp(),
        index: 2,
    }
}

fn day() -> DayView {
    let movements = vec![
        DayMovements { kind: TransferKind::TopUp, count: 2, sum: 9 },
        DayMovements { kind: TransferKind::Reversal, count: 1, sum: 4 },
    ];
    let asset = DayAsset { opening: sums(5), closing: sums(10), movements };
    DayView {
        date: new_years_eve(),
        assets: vec![asset],
        first_position: 2,
        last_position: 42,
        link: [0x33; 32],
    }
}

fn keys() -> Vec<KeyView> {
    vec![
        KeyView { key: OPERATOR_KEY, role: Role::Operator, account: None, revoked: false },
        KeyView {
            key: KeyId(7),
            role: Role::Merchant,
            account: Some(transfer().credit),
            revoked: true,
        },
    ]
}

/// All views, by name.
pub(crate) fn all() -> Vec<(&'static str, View)> {
    let reversed = TransferView { refunded: None, reversed_by: Some(hold().id), ..movement() };
    vec![
        ("account", View::Account(account())),
        ("transfer", View::Transfer(Box::new(movement()))),
        (
            "history",
            View::History(HistoryPage { items: vec![movement(), reversed], next: Some(cursor()) }),
        ),
        ("totals", View::Totals(Totals { position: 42, assets: vec![sums(5)] })),
        ("hold", View::Hold(Box::new(captured()))),
        ("day", View::Day(Box::new(day()))),
        ("keys", View::Keys(keys())),
        ("position", View::Position(42)),
    ]
}

/// All queries, by name.
pub(crate) fn queries() -> Vec<(&'static str, Query)> {
    let account = AccountId::new(5);
    vec![
        ("account", Query::Account(account)),
        ("transfer", Query::Transfer(transfer().id)),
        ("history", Query::History { account, limit: 100, before: Some(cursor()) }),
        ("totals", Query::Totals),
        ("hold", Query::Hold(hold().id)),
        ("day", Query::Day(new_years_eve())),
        ("keys", Query::Keys),
        ("key", Query::Key([0x77; 32])),
        ("position", Query::Position),
    ]
}
