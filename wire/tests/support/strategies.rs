//! Proptest strategies for all commands, queries and views.

use evenkeel_wire::{
    account::{AccountKind, AccountStatus, LimitChange, Limits, OpenAccount, SetLimits, SetStatus},
    amount::{Amount, Asset},
    command::Command,
    day::{BusinessDate, CloseDay},
    hold::{Capture, ExpireHold, Hold, HoldStatus, Void},
    id::{AccountId, CommandId, KeyId},
    key::{CreateKey, RevokeKey, Role},
    outcome::{Answer, Outcome, Rejection, Stamp},
    refund::Refund,
    reply::{
        AccountView, AssetTotals, DayAsset, DayMovements, DayView, HistoryPage, HoldView, KeyView,
        Totals, TransferView, View,
    },
    request::{Cursor, Query},
    reversal::Reversal,
    transfer::{Text, Transfer, TransferKind},
};
use proptest::{collection::vec, option, prelude::*, sample::select};

fn asset() -> impl Strategy<Value = Asset> {
    "[A-Z0-9]{1,8}".prop_map(|name| Asset::parse(&name).unwrap())
}

fn text<const MAX: usize>() -> impl Strategy<Value = Text<MAX>> {
    "\\PC{0,60}".prop_filter_map("too long", |text| Text::new(&text).ok())
}

fn id() -> impl Strategy<Value = CommandId> {
    (any::<u64>(), any::<u128>()).prop_map(|(time, random)| CommandId::from_parts(time, random))
}

fn account() -> impl Strategy<Value = AccountId> {
    any::<u128>().prop_map(AccountId::new)
}

fn amount() -> impl Strategy<Value = Amount> {
    any::<u64>().prop_map(Amount)
}

fn key() -> impl Strategy<Value = KeyId> {
    any::<u32>().prop_map(KeyId)
}

fn date() -> impl Strategy<Value = BusinessDate> {
    (1970_u32..=9999, 1_u32..=12, 1_u32..=28)
        .prop_map(|(year, month, day)| BusinessDate::new(year, month, day).unwrap())
}

fn limits() -> impl Strategy<Value = Limits> {
    let change = || {
        prop_oneof![
            Just(LimitChange::Keep),
            Just(LimitChange::Clear),
            amount().prop_map(LimitChange::Set)
        ]
    };
    (change(), change(), change()).prop_map(|(max_balance, per_transfer, daily_debit)| Limits {
        max_balance,
        per_transfer,
        daily_debit,
    })
}

fn transfer() -> impl Strategy<Value = Transfer> {
    let accounts = (account(), account());
    let parts = (id(), accounts, amount(), asset(), select(TransferKind::ALL), text(), text());
    parts.prop_map(|(id, (debit, credit), amount, asset, kind, reference, memo)| Transfer {
        id,
        debit,
        credit,
        amount,
        asset,
        kind,
        reference,
        memo,
    })
}

fn hold() -> impl Strategy<Value = Hold> {
    let parts = (id(), account(), account(), amount(), asset(), any::<u64>(), text());
    parts.prop_map(|(id, debit, credit, amount, asset, expires_in_ms, memo)| Hold {
        id,
        debit,
        credit,
        amount,
        asset,
        expires_in_ms,
        memo,
    })
}

/// Any command but the genesis.
pub(crate) fn command() -> impl Strategy<Value = Command> {
    prop_oneof![moves_money(), upkeep()]
}

fn moves_money() -> impl Strategy<Value = Command> {
    let refund = (id(), id(), option::of(amount()), text())
        .prop_map(|(id, payment, amount, memo)| Refund { id, payment, amount, memo });
    let reversal =
        (id(), id(), text()).prop_map(|(id, transfer, reason)| Reversal { id, transfer, reason });
    let capture = (id(), id(), option::of(amount())).prop_map(|(id, hold, amount)| Capture {
        id,
        hold,
        amount,
    });
    let void = (id(), id()).prop_map(|(id, hold)| Void { id, hold });
    prop_oneof![
        transfer().prop_map(Command::Transfer),
        refund.prop_map(Command::Refund),
        reversal.prop_map(Command::Reversal),
        hold().prop_map(Command::Hold),
        capture.prop_map(Command::Capture),
        void.prop_map(Command::Void),
        id().prop_map(|hold| Command::ExpireHold(ExpireHold { hold })),
    ]
}

fn upkeep() -> impl Strategy<Value = Command> {
    let open = (account(), select(AccountKind::ALL), asset(), text(), limits()).prop_map(
        |(id, kind, asset, label, limits)| OpenAccount { id, kind, asset, label, limits },
    );
    let status = (id(), account(), select(AccountStatus::ALL))
        .prop_map(|(id, account, status)| SetStatus { id, account, status });
    let limits = (id(), account(), limits()).prop_map(|(id, account, limits)| SetLimits {
        id,
        account,
        limits,
    });
    let create = (any::<[u8; 32]>(), select(Role::ALL), option::of(account()))
        .prop_map(|(hash, role, account)| CreateKey { hash, role, account });
    prop_oneof![
        open.prop_map(Command::OpenAccount),
        status.prop_map(Command::SetStatus),
        limits.prop_map(Command::SetLimits),
        (date(), date()).prop_map(|(closed, next)| Command::CloseDay(CloseDay { closed, next })),
        create.prop_map(Command::CreateKey),
        key().prop_map(|key| Command::RevokeKey(RevokeKey { key })),
    ]
}

pub(crate) fn stamp() -> impl Strategy<Value = Stamp> {
    (any::<[u64; 3]>(), any::<[u8; 32]>()).prop_map(|([position, term, recorded_at], link)| Stamp {
        position,
        term,
        recorded_at,
        link,
    })
}

pub(crate) fn answer() -> impl Strategy<Value = Answer> {
    let rejection = option::of(select(Rejection::ALL));
    let outcome = (any::<u16>(), rejection, any::<u64>(), any::<[i64; 2]>());
    (outcome, option::of(stamp())).prop_map(|((index, rejection, amount, after), first)| {
        let [debit_after, credit_after] = after;
        Answer { outcome: Outcome { index, rejection, amount, debit_after, credit_after }, first }
    })
}

fn cursor() -> impl Strategy<Value = Cursor> {
    (any::<u64>(), any::<u16>()).prop_map(|(position, command)| Cursor { position, command })
}

pub(crate) fn query() -> impl Strategy<Value = Query> {
    let history = (account(), any::<u32>(), option::of(cursor()))
        .prop_map(|(account, limit, before)| Query::History { account, limit, before });
    prop_oneof![
        account().prop_map(Query::Account),
        id().prop_map(Query::Transfer),
        history,
        Just(Query::Totals),
        id().prop_map(Query::Hold),
        date().prop_map(Query::Day),
        Just(Query::Keys),
        any::<[u8; 32]>().prop_map(Query::Key),
        Just(Query::Position),
    ]
}

fn account_view() -> impl Strategy<Value = AccountView> {
    let is = (account(), select(AccountKind::ALL), asset(), text(), select(AccountStatus::ALL));
    let limits = any::<[Option<u64>; 3]>();
    (is, any::<[i64; 2]>(), limits, any::<[u64; 3]>()).prop_map(
        |((id, kind, asset, label, status), [posted, held], limits, numbers)| {
            let [max_balance, per_transfer, daily_debit] = limits;
            let [debited_today, opened_at, position] = numbers;
            AccountView {
                id,
                kind,
                asset,
                label,
                status,
                posted,
                held,
                max_balance,
                per_transfer,
                daily_debit,
                debited_today,
                opened_at,
                position,
            }
        },
    )
}

fn movement() -> impl Strategy<Value = TransferView> {
    let undone = (option::of(any::<u64>()), option::of(id()));
    (transfer(), undone, stamp(), any::<u16>()).prop_map(
        |(transfer, (refunded, reversed_by), stamp, index)| TransferView {
            transfer,
            refunded,
            reversed_by,
            stamp,
            index,
        },
    )
}

fn hold_view() -> impl Strategy<Value = HoldView> {
    let closed = (select(HoldStatus::ALL), option::of(id()), any::<u64>());
    (hold(), closed, any::<u64>(), stamp(), any::<u16>()).prop_map(
        |(hold, (status, closed_by, captured), expires_at, stamp, index)| HoldView {
            hold,
            status,
            expires_at,
            closed_by,
            captured,
            stamp,
            index,
        },
    )
}

fn sums() -> impl Strategy<Value = AssetTotals> {
    (asset(), any::<[i64; 5]>()).prop_map(|(asset, [wallet, merchant, bank, fee, issuer])| {
        AssetTotals { asset, wallet, merchant, bank, fee, issuer }
    })
}

fn day() -> impl Strategy<Value = DayView> {
    let movements = (select(TransferKind::ALL), any::<[u64; 2]>())
        .prop_map(|(kind, [count, sum])| DayMovements { kind, count, sum });
    let asset = (sums(), sums(), vec(movements, 0..9))
        .prop_map(|(opening, closing, movements)| DayAsset { opening, closing, movements });
    (date(), vec(asset, 0..4), any::<[u64; 2]>(), any::<[u8; 32]>()).prop_map(
        |(date, assets, [first_position, last_position], link)| DayView {
            date,
            assets,
            first_position,
            last_position,
            link,
        },
    )
}

pub(crate) fn view() -> impl Strategy<Value = View> {
    let history = (vec(movement(), 0..5), option::of(cursor()))
        .prop_map(|(items, next)| HistoryPage { items, next });
    let totals = (any::<u64>(), vec(sums(), 0..5))
        .prop_map(|(position, assets)| Totals { position, assets });
    let key = (key(), select(Role::ALL), option::of(account()), any::<bool>())
        .prop_map(|(key, role, account, revoked)| KeyView { key, role, account, revoked });
    prop_oneof![
        account_view().prop_map(View::Account),
        movement().prop_map(|view| View::Transfer(Box::new(view))),
        history.prop_map(View::History),
        totals.prop_map(View::Totals),
        hold_view().prop_map(|view| View::Hold(Box::new(view))),
        day().prop_map(|view| View::Day(Box::new(view))),
        vec(key, 0..9).prop_map(View::Keys),
        any::<u64>().prop_map(View::Position),
    ]
}
