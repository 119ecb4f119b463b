//! Permissions: the whole table of roles, tested through the checks that every door and the primary
//! make.

use std::{fs, path::Path};

use bytes::Bytes;
use evenkeel_node::{
    admission::{self, Act, Allowed, Parties, TargetLookup, roles},
    road::Caller,
};
use evenkeel_wire::{
    account::{AccountKind, AccountStatus, Limits, OpenAccount, SetLimits, SetStatus},
    amount::{Amount, Asset},
    codec,
    command::Command,
    day::{BusinessDate, CloseDay},
    genesis::Genesis,
    hold::{Capture, ExpireHold, Hold, HoldStatus, Void},
    id::{AccountId, ClusterId, CommandId, KeyId},
    key::{CreateKey, RevokeKey, Role},
    limits::{COMMANDS_MAX, HOLD_MS_MAX},
    outcome::Stamp,
    refund::Refund,
    reply::{HoldView, Refusal, RefusalCode, TransferView, View},
    request::Query,
    reversal::Reversal,
    transfer::{Text, Transfer, TransferKind},
};

/// The permissions of each role: operator, teller, app, merchant, auditor; `+` yes, `o` its own
/// account, `-` no. Repeated here, so that a slip in the table shows.
const EXPECTED: &[(Act, &str)] = &[
    (Act::OpenWallet, "++---"),
    (Act::OpenOther, "++---"),
    (Act::SetStatus, "++---"),
    (Act::SetLimits, "++---"),
    (Act::TopUp, "++---"),
    (Act::Transfer, "+-+--"),
    (Act::Payment, "+-+--"),
    (Act::CashOut, "++---"),
    (Act::Fee, "+----"),
    (Act::Grant, "+----"),
    (Act::NotByTransfer, "+++--"),
    (Act::Hold, "+-+--"),
    (Act::Capture, "+-+o-"),
    (Act::Void, "+-+o-"),
    (Act::Refund, "+--o-"),
    (Act::Reversal, "+----"),
    (Act::ReadAccount, "+++o+"),
    (Act::ReadHistory, "+++o+"),
    (Act::ReadTransfer, "+++o+"),
    (Act::ReadHold, "+++o+"),
    (Act::ReadTotals, "+-+-+"),
    (Act::ReadDay, "+-+-+"),
    (Act::ReadSettlement, "+-+-+"),
    (Act::ReadEvents, "+-+-+"),
];

const WALLET: AccountId = AccountId::new(1);
const OWN: AccountId = AccountId::new(2);
const OTHER: AccountId = AccountId::new(3);

fn id(number: u128) -> CommandId {
    CommandId::from_parts(1_790_000_000_000, number)
}

/// Targets whose credit account is the merchant's own, another one's, and unknown.
fn own() -> CommandId {
    id(10)
}

fn others() -> CommandId {
    id(11)
}

fn unknown() -> CommandId {
    id(12)
}

/// Has two targets; looking up a third fails.
struct Known;

impl Known {
    fn parties(id: CommandId) -> Result<Option<Parties>, Refusal> {
        let to = |credit| Ok(Some(Parties { debit: WALLET, credit }));
        match id {
            id if id == own() => to(OWN),
            id if id == others() => to(OTHER),
            id if id == unknown() => Ok(None),
            _ => Err(Refusal::new(RefusalCode::Recovering, "the index can't be read")),
        }
    }
}

impl TargetLookup for Known {
    fn hold_parties(&self, id: CommandId) -> Result<Option<Parties>, Refusal> {
        Self::parties(id)
    }

    fn movement_parties(&self, id: CommandId) -> Result<Option<Parties>, Refusal> {
        Self::parties(id)
    }
}

fn caller(role: Role) -> Caller {
    let account = (role == Role::Merchant).then_some(OWN);
    Caller { key: KeyId(7), hash: [7; 32], role, account }
}

fn won() -> Asset {
    Asset::parse("KRW").expect("a name")
}

fn transfer(kind: TransferKind) -> Transfer {
    Transfer {
        id: id(1),
        debit: WALLET,
        credit: OWN,
        amount: Amount(5),
        asset: won(),
        kind,
        reference: Text::default(),
        memo: Text::default(),
    }
}

fn open(kind: AccountKind) -> Command {
    let (asset, label, limits) = (won(), Text::default(), Limits::default());
    Command::OpenAccount(OpenAccount { id: WALLET, kind, asset, label, limits })
}

fn hold(expires_in_ms: u64) -> Hold {
    let (amount, asset, memo) = (Amount(5), won(), Text::default());
    Hold { id: id(1), debit: WALLET, credit: OWN, amount, asset, expires_in_ms, memo }
}

fn set_status(status: AccountStatus) -> Command {
    Command::SetStatus(SetStatus { id: id(1), account: WALLET, status })
}

fn reversal(reason: &str) -> Command {
    let reason = Text::new(reason).expect("short");
    Command::Reversal(Reversal { id: id(1), transfer: own(), reason })
}

/// All commands of an act, with this target.
fn commands(act: Act, target: CommandId) -> Vec<Command> {
    let moves = |kinds: &[TransferKind]| {
        kinds.iter().map(|kind| Command::Transfer(transfer(*kind))).collect::<Vec<_>>()
    };
    match act {
        Act::OpenWallet => [AccountKind::Wallet, AccountKind::Merchant].map(open).to_vec(),
        Act::OpenOther => {
            [AccountKind::Bank, AccountKind::Fee, AccountKind::Issuer].map(open).to_vec()
        }
        Act::SetStatus => AccountStatus::ALL.iter().map(|status| set_status(*status)).collect(),
        Act::SetLimits => vec![Command::SetLimits(SetLimits {
            id: id(1),
            account: WALLET,
            limits: Limits::default(),
        })],
        Act::TopUp => moves(&[TransferKind::TopUp]),
        Act::Transfer => moves(&[TransferKind::Transfer]),
        Act::Payment => moves(&[TransferKind::Payment]),
        Act::CashOut => moves(&[TransferKind::CashOut]),
        Act::Fee => moves(&[TransferKind::Fee]),
        Act::Grant => moves(&[TransferKind::Grant]),
        Act::NotByTransfer => moves(&[TransferKind::Refund, TransferKind::Reversal]),
        Act::Hold => vec![Command::Hold(hold(1_000))],
        Act::Capture => {
            vec![Command::Capture(Capture { id: id(1), hold: target, amount: None })]
        }
        Act::Void => vec![Command::Void(Void { id: id(1), hold: target })],
        Act::Refund => {
            let (amount, memo) = (None, Text::default());
            vec![Command::Refund(Refund { id: id(1), payment: target, amount, memo })]
        }
        Act::Reversal => vec![reversal("wrong account")],
        _ => Vec::new(),
    }
}

/// The query of an act, about this account or target.
fn query(act: Act, account: AccountId, target: CommandId) -> Option<Query> {
    Some(match act {
        Act::ReadAccount => Query::Account(account),
        Act::ReadHistory => Query::History { account, limit: 10, before: None },
        Act::ReadTransfer => Query::Transfer(target),
        Act::ReadHold => Query::Hold(target),
        Act::ReadTotals => Query::Totals,
        Act::ReadDay => Query::Day(BusinessDate::new(2026, 9, 1).expect("a day")),
        _ => return None,
    })
}

/// The answer to an act's query, with these parties.
fn view(act: Act, debit: AccountId, credit: AccountId) -> Option<View> {
    let stamp = Stamp { position: 1, term: 1, recorded_at: 1, link: [0; 32] };
    Some(match act {
        Act::ReadTransfer => View::Transfer(Box::new(TransferView {
            transfer: Transfer { debit, credit, ..transfer(TransferKind::Payment) },
            refunded: None,
            reversed_by: None,
            stamp,
            index: 0,
        })),
        Act::ReadHold => View::Hold(Box::new(HoldView {
            hold: Hold { debit, credit, ..hold(1_000) },
            status: HoldStatus::Open,
            expires_at: 1,
            closed_by: None,
            captured: 0,
            stamp,
            index: 0,
        })),
        _ => return None,
    })
}

fn submit(caller: &Caller, commands: &[Command]) -> Result<(), Refusal> {
    let bytes: Bytes = commands.iter().flat_map(codec::encode).collect();
    let count = u32::try_from(commands.len()).expect("a few");
    admission::check_commands(caller, &Known, count, &bytes)
}

fn expected(act: Act, role: Role) -> Allowed {
    let (_, line) = EXPECTED.iter().find(|(one, _)| *one == act).expect("a line for every act");
    let place = Role::ALL.iter().position(|one| *one == role).expect("one of them");
    match line.as_bytes()[place] {
        b'+' => Allowed::Yes,
        b'o' => Allowed::Own,
        b'-' => Allowed::No,
        other => panic!("{other}"),
    }
}

fn judged(result: Result<(), Refusal>) -> bool {
    match result {
        Ok(()) => true,
        Err(refusal) => {
            assert_eq!(refusal.code, RefusalCode::Forbidden, "{refusal}");
            false
        }
    }
}

#[test]
fn every_role_may_give_just_the_commands_of_the_table() {
    let mut seen = 0;
    for (act, role) in pairs() {
        for (target, mine) in [(own(), true), (others(), false), (unknown(), true)] {
            for command in commands(act, target) {
                assert_eq!(Act::of_command(&command), Some(act));
                let wanted = match expected(act, role) {
                    Allowed::Yes => true,
                    Allowed::Own => mine,
                    Allowed::No => false,
                };
                let found = judged(submit(&caller(role), std::slice::from_ref(&command)));
                assert_eq!(found, wanted, "{role}: {command:?}");
                seen += 1;
            }
        }
    }
    assert_eq!(seen, 3 * 5 * 22, "every command of every act, by every role, about three targets");
}

#[test]
fn every_role_may_ask_just_the_questions_of_the_table() {
    for (act, role) in pairs() {
        let caller = caller(role);
        let allowed = expected(act, role);
        assert_eq!(act.allowed(role), allowed, "{act:?} {role}");
        assert_eq!(judged(admission::check_act(&caller, act)), allowed != Allowed::No);
        for (account, mine) in [(OWN, true), (OTHER, false)] {
            let Some(query) = query(act, account, own()) else { continue };
            assert_eq!(Act::of_query(&query), Some(act));
            // The owner of a transfer or a hold shows only in the answer.
            let by_answer = matches!(query, Query::Transfer(_) | Query::Hold(_));
            let wanted = match allowed {
                Allowed::Yes => true,
                Allowed::Own => mine || by_answer,
                Allowed::No => false,
            };
            assert_eq!(judged(admission::check_query(&caller, &query)), wanted, "{role} {query:?}");
        }
        for (debit, credit, mine) in
            [(WALLET, OWN, true), (OWN, WALLET, true), (WALLET, OTHER, false)]
        {
            let Some(view) = view(act, debit, credit) else { continue };
            let wanted = allowed != Allowed::Own || mine;
            assert_eq!(judged(admission::check_view(&caller, &view)), wanted, "{role} {act:?}");
        }
    }
}

fn pairs() -> impl Iterator<Item = (Act, Role)> {
    assert_eq!(EXPECTED.len(), Act::ALL.len());
    Act::ALL.iter().flat_map(|act| Role::ALL.iter().map(|role| (*act, *role)))
}

#[test]
fn what_nodes_make_comes_from_nodes_alone_and_they_make_nothing_else() {
    let day = |day| BusinessDate::new(2026, 9, day).expect("a day");
    let close = Command::CloseDay(CloseDay { closed: day(1), next: day(2) });
    let made_by_nodes = [
        Command::ExpireHold(ExpireHold { hold: own() }),
        close.clone(),
        Command::CreateKey(CreateKey { hash: [1; 32], role: Role::App, account: None }),
        Command::RevokeKey(RevokeKey { key: KeyId(2) }),
    ];
    for command in made_by_nodes {
        assert!(command.is_made_by_nodes());
        let one = std::slice::from_ref(&command);
        submit(&Caller::NODE, one).expect("a node's own");
        for role in Role::ALL {
            assert!(!judged(submit(&caller(*role), one)), "{role}: {command:?}");
        }
    }
    let refusal = submit(&Caller::NODE, &[close.clone(), close]).expect_err("not alone");
    assert_eq!(refusal.code, RefusalCode::Malformed);
    for act in Act::ALL {
        for command in commands(*act, own()) {
            assert!(!judged(submit(&Caller::NODE, &[command])), "{act:?}");
        }
        assert!(!judged(admission::check_act(&Caller::NODE, *act)));
    }
}

#[test]
fn keys_are_asked_for_by_nodes_alone_and_the_position_by_anybody() {
    let genesis = Command::Genesis(Box::new(Genesis {
        cluster: ClusterId([1; 16]),
        assets: vec![won()],
        wallet_max_balance: 1,
        id_horizon_ms: 1,
        id_tolerance_ms: 1,
        time_zone: Text::default(),
        operator_key: [1; 32],
        first_date: BusinessDate::FIRST,
    }));
    let callers = Role::ALL.iter().map(|role| caller(*role));
    for caller in callers.chain([Caller::NODE]) {
        assert!(!judged(submit(&caller, std::slice::from_ref(&genesis))), "genesis is sent once");
        assert!(judged(admission::check_query(&caller, &Query::Position)));
        for query in [Query::Keys, Query::Key([3; 32])] {
            assert_eq!(judged(admission::check_query(&caller, &query)), caller.is_node());
        }
    }
}

#[test]
fn a_refusal_names_the_command_the_act_and_the_role() {
    let app = caller(Role::App);
    let two = [Command::Hold(hold(1)), commands(Act::CashOut, own()).remove(0)];
    let refusal = submit(&app, &two).expect_err("not an app's");
    assert_eq!(refusal.detail.as_str(), "command 1: cash_out: not allowed for a key of role app");
    let merchant = caller(Role::Merchant);
    let refusal = submit(&merchant, &commands(Act::Capture, others())).expect_err("not its own");
    assert_eq!(refusal.detail.as_str(), "command 0: capture a hold: not this key's account");
}

#[test]
fn a_target_that_cannot_be_looked_up_lets_nobody_in() {
    let merchant = caller(Role::Merchant);
    let refusal = submit(&merchant, &commands(Act::Capture, id(99))).expect_err("not known");
    assert_eq!(refusal.code, RefusalCode::Recovering);
}

#[test]
fn what_decodes_and_still_makes_no_sense_is_malformed() {
    let operator = caller(Role::Operator);
    for (command, what) in [
        (Command::Hold(hold(0)), "expires_in_ms"),
        (Command::Hold(hold(HOLD_MS_MAX + 1)), "expires_in_ms"),
        (reversal(""), "reason"),
    ] {
        let refusal = submit(&operator, &[command]).expect_err("malformed");
        assert_eq!(refusal.code, RefusalCode::Malformed);
        assert!(refusal.detail.as_str().contains(what), "{refusal}");
    }
    submit(&operator, &[Command::Hold(hold(HOLD_MS_MAX))]).expect("the longest");
    let many = vec![set_status(AccountStatus::Open); COMMANDS_MAX + 1];
    assert_eq!(submit(&operator, &many).expect_err("too many").code, RefusalCode::TooLarge);
    assert_eq!(submit(&operator, &[]).expect_err("none").code, RefusalCode::Malformed);
}

#[test]
fn the_documentation_shows_the_table() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace's root");
    let text = fs::read_to_string(root.join("docs/API.md")).expect("docs/API.md");
    let table = roles::markdown();
    assert!(text.contains(&table), "docs/API.md lacks this table:\n{table}");
}
