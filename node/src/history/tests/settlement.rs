//! Settlements against the slow model, and against the balances of banks and merchants.

use std::collections::BTreeMap;

use evenkeel_wire::{
    command::Command,
    day::BusinessDate,
    id::AccountId,
    reply::{DayView, RefusalCode, View},
    request::Query,
    transfer::TransferKind,
};

use super::{
    model::Model,
    play::Play,
    site::Site,
    words::{
        BANK, FEES, MERCHANTS, WALLETS, capture, close_day, first_date, genesis, hold, krw,
        openings, refund, reversal, transfer,
    },
};
use crate::history::{BankRow, MerchantRow, Settlement};

fn day(site: &Site, date: BusinessDate) -> DayView {
    match site.state.answer_query(&Query::Day(date)).unwrap() {
        View::Day(view) => *view,
        other => panic!("{other:?}"),
    }
}

fn closed_days(site: &Site) -> Vec<BusinessDate> {
    let committed = site.given.iter().filter(|given| given.is_committed());
    let days = committed.filter_map(|given| match &given.command {
        Command::CloseDay(close) => Some(close.closed),
        _ => None,
    });
    days.collect()
}

/// The flows between each merchant or bank and the other accounts in a day, by kind of movement.
fn flows(site: &Site, date: BusinessDate) -> BTreeMap<(AccountId, TransferKind, AccountId), i128> {
    let model = Model::new(site);
    let report = day(site, date);
    let mut flows = BTreeMap::new();
    for given in model.committed() {
        let position = given.head.position;
        if !(report.first_position..=report.last_position).contains(&position) {
            continue;
        }
        if let Some(moved) = model.moved(given) {
            let amount = i128::from(moved.amount.0);
            *flows.entry((moved.credit, moved.kind, moved.debit)).or_default() += amount;
            *flows.entry((moved.debit, moved.kind, moved.credit)).or_default() -= amount;
        }
    }
    flows
}

fn expected(site: &Site, date: BusinessDate) -> Settlement {
    let flows = flows(site, date);
    let all = |account: AccountId, kind: TransferKind| -> Option<i128> {
        let found = flows.iter().filter(|((own, moved, _), _)| *own == account && *moved == kind);
        found.map(|(_, amount)| *amount).reduce(|sum, amount| sum + amount)
    };
    let asset = krw();
    let merchants = MERCHANTS.iter().filter_map(|account| {
        let reversed_fees = flows.get(&(*account, TransferKind::Reversal, FEES)).copied();
        let payments = all(*account, TransferKind::Payment);
        let refunds = all(*account, TransferKind::Refund);
        let fees = all(*account, TransferKind::Fee);
        payments.or(refunds).or(fees).or(reversed_fees)?;
        let (payments, refunds) = (payments.unwrap_or(0), -refunds.unwrap_or(0));
        let fees = -fees.unwrap_or(0) - reversed_fees.unwrap_or(0);
        let net = payments - refunds - fees;
        Some(MerchantRow { account: *account, asset, payments, refunds, fees, net })
    });
    let top_ups = all(BANK, TransferKind::TopUp);
    let cash_outs = all(BANK, TransferKind::CashOut);
    let reversals = all(BANK, TransferKind::Reversal);
    let bank = top_ups.or(cash_outs).or(reversals).map(|_| BankRow {
        account: BANK,
        asset,
        top_ups: -top_ups.unwrap_or(0),
        cash_outs: cash_outs.unwrap_or(0),
        reversals: reversals.unwrap_or(0),
    });
    Settlement { date, merchants: merchants.collect(), banks: bank.into_iter().collect() }
}

#[test]
fn settlements_are_what_a_look_at_all_movements_makes() {
    let mut settled = 0;
    for seed in 1..4 {
        let mut site = Site::new(32 << 10);
        let mut play = Play::new(seed);
        play.found(&mut site);
        play.entries(&mut site, 400);
        let first: Vec<_> = closed_days(&site)
            .into_iter()
            .map(|date| (date, site.state.compute_settlement(date).unwrap()))
            .collect();
        for (date, settlement) in &first {
            assert_eq!(*settlement, expected(&site, *date), "{date}");
            // The bank's day equals the change of its account.
            let report = day(&site, *date);
            let bank =
                settlement.banks.iter().map(|row| row.cash_outs + row.reversals - row.top_ups);
            let changed = report.assets[0].closing.bank - report.assets[0].opening.bank;
            assert_eq!(bank.sum::<i128>(), i128::from(changed), "{date}");
            settled += 1;
        }
        site.seal();
        let site = site.restart();
        for (date, settlement) in first {
            assert_eq!(
                site.state.compute_settlement(date).unwrap(),
                settlement,
                "the same at any later time"
            );
        }
    }
    assert!(settled > 10);
}

#[test]
fn a_day_in_figures() {
    let mut site = Site::new(1 << 20);
    site.commands(&[genesis()]);
    site.commands(&openings());
    let id = |number: u128| evenkeel_wire::id::CommandId::from_parts(1_700_000_000_000, number);
    let shop = MERCHANTS[0];
    for command in [
        transfer(id(1), TransferKind::TopUp, BANK, WALLETS[0], 1_000),
        transfer(id(2), TransferKind::TopUp, BANK, WALLETS[0], 50),
        reversal(id(3), id(2)),
        transfer(id(4), TransferKind::Payment, WALLETS[0], shop, 300),
        refund(id(5), id(4), Some(100)),
        hold(id(6), 0, 0, 80, 60_000),
        capture(id(7), id(6), Some(70)),
        refund(id(8), id(7), None),
        transfer(id(9), TransferKind::Fee, shop, FEES, 7),
        transfer(id(10), TransferKind::Fee, shop, FEES, 5),
        reversal(id(11), id(10)),
        transfer(id(12), TransferKind::CashOut, shop, BANK, 100),
        transfer(id(13), TransferKind::CashOut, WALLETS[0], BANK, 20),
        reversal(id(14), id(13)),
        close_day(first_date()),
    ] {
        site.committed(command);
    }
    let settlement = site.state.compute_settlement(first_date()).unwrap();
    let asset = krw();
    let merchant =
        MerchantRow { account: shop, asset, payments: 370, refunds: 170, fees: 7, net: 193 };
    let bank = BankRow { account: BANK, asset, top_ups: 1_050, cash_outs: 120, reversals: 30 };
    assert_eq!(settlement.merchants, [merchant]);
    assert_eq!(settlement.banks, [bank]);

    // Yesterday's fee is reversed today: negative fees.
    site.committed(reversal(id(15), id(9)));
    site.committed(close_day(first_date().next()));
    let next = site.state.compute_settlement(first_date().next()).unwrap();
    assert_eq!((next.merchants[0].fees, next.merchants[0].net), (-7, 7));
    assert_eq!(next.banks, []);

    let open = site.state.compute_settlement(first_date().next().next()).unwrap_err();
    assert_eq!(open.code, RefusalCode::NotFound);
}

/// The ledger keeps the report, the settlement is counted from the journal: if they differ, no
/// figures are returned.
#[test]
fn figures_that_do_not_add_up_are_not_given_out() {
    use crate::history::{HistoryReader, ReadLedger};
    use evenkeel_ledger::{DecidedOutcome, OpenHold};
    use evenkeel_wire::{id::CommandId, outcome::Outcome, reply::AccountView};

    struct Miscounted<'a>(&'a crate::state::AppliedState);
    impl ReadLedger for Miscounted<'_> {
        fn position(&self) -> Option<u64> {
            self.0.position()
        }
        fn first_answer(&self, id: CommandId) -> Option<(u64, u16, Outcome)> {
            self.0.first_answer(id)
        }
        fn outcomes_of(&self, position: u64) -> Option<Vec<DecidedOutcome>> {
            self.0.outcomes_of(position)
        }
        fn outcome_of(&self, position: u64, command: u16) -> Option<DecidedOutcome> {
            self.0.outcome_of(position, command)
        }
        fn hold_resolution(&self, hold: CommandId) -> Option<(u64, u16)> {
            self.0.hold_resolution(hold)
        }
        fn open_hold(&self, id: CommandId) -> (Option<OpenHold>, u64) {
            self.0.open_hold(id)
        }
        fn account(&self, id: AccountId) -> Option<AccountView> {
            ReadLedger::account(self.0, id)
        }
        fn closed_day(&self, date: BusinessDate) -> Option<DayView> {
            let mut view = ReadLedger::closed_day(self.0, date)?;
            view.assets[0].movements[0].count += 1;
            Some(view)
        }
        fn paid_back(&self, movements: &[CommandId]) -> Vec<(u64, Option<CommandId>)> {
            self.0.paid_back(movements)
        }
    }

    let mut site = Site::new(1 << 20);
    Play::new(1).found(&mut site);
    site.committed(close_day(first_date()));
    assert!(site.state.compute_settlement(first_date()).is_ok());
    let miscounted = Miscounted(&site.state);
    let lost = HistoryReader::new(site.state.history(), &miscounted)
        .compute_settlement(first_date())
        .unwrap_err();
    assert!(lost.to_string().contains("don't add up to its report"), "{lost}");
}
