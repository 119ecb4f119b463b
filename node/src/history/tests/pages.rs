//! Movements, holds and pages against the slow model: before anything is sealed, while some is, and
//! after a restart.

use evenkeel_wire::{
    command::Command,
    id::AccountId,
    reply::{HistoryPage, RefusalCode, TransferView, View},
    request::{Cursor, Query},
};

use super::{
    model::Model,
    play::{Play, Random},
    site::Site,
    words::{BANK, FEES, ISSUER, MERCHANTS, WALLETS},
};

pub(crate) fn page(
    site: &Site,
    account: AccountId,
    limit: u32,
    before: Option<Cursor>,
) -> HistoryPage {
    match site.state.answer_query(&Query::History { account, limit, before }).unwrap() {
        View::History(page) => page,
        other => panic!("{other:?}"),
    }
}

fn assert_all_found(site: &Site) {
    let model = Model::new(site);
    for given in &site.given {
        let Some(id) = given.command.id() else { continue };
        match site.state.answer_query(&Query::Transfer(id)) {
            Ok(View::Transfer(view)) => assert_eq!(Some(*view), model.transfer(id)),
            Err(refusal) => {
                assert_eq!(refusal.code, RefusalCode::NotFound);
                assert_eq!(model.transfer(id), None, "{:?}", given.command);
            }
            other => panic!("{other:?}"),
        }
        match site.state.answer_query(&Query::Hold(id)) {
            Ok(View::Hold(view)) => assert_eq!(Some(*view), model.hold(id)),
            Err(refusal) => {
                assert_eq!(refusal.code, RefusalCode::NotFound);
                assert_eq!(model.hold(id), None, "{:?}", given.command);
            }
            other => panic!("{other:?}"),
        }
    }
}

fn assert_pages(site: &Site, random: &mut Random) {
    let model = Model::new(site);
    let accounts = [BANK, ISSUER, FEES].into_iter().chain(WALLETS).chain(MERCHANTS);
    for account in accounts {
        let history = model.history(account);
        for limit in [1, 7, 1_000] {
            let mut walked: Vec<TransferView> = Vec::new();
            let mut before = None;
            // The shortest pages start in the middle, to save time.
            if limit == 1 && history.len() > 20 {
                before = Some(history[random.below(history.len())].0);
            }
            let expected: Vec<_> =
                history.iter().filter(|(at, _)| before.is_none_or(|before| *at < before)).collect();
            let walk_max = if limit == 1 { 20 } else { usize::MAX };
            loop {
                let page = page(site, account, limit, before);
                assert!(page.items.len() <= usize::try_from(limit).unwrap());
                walked.extend(page.items);
                before = page.next;
                if before.is_none() || walked.len() >= walk_max {
                    break;
                }
            }
            let expected = expected.into_iter().map(|(_, view)| view.clone());
            let expected: Vec<_> = expected.take(walked.len().max(1)).collect();
            assert_eq!(walked, expected, "account {account}, pages of {limit}");
            assert!(before.is_some() || limit == 1 || walked.len() == history.len());
        }
    }
}

#[test]
fn everything_is_told_as_a_look_at_all_of_it_tells() {
    for seed in 1..4 {
        let mut site = Site::new(32 << 10);
        let mut play = Play::new(seed);
        play.found(&mut site);
        play.entries(&mut site, 40);
        assert_all_found(&site);
        assert_pages(&site, &mut play.random);

        play.entries(&mut site, 700);
        assert!(
            site.state.history().indexes().last_position().is_some(),
            "something must be sealed by now"
        );
        assert_all_found(&site);
        assert_pages(&site, &mut play.random);

        site.seal();
        let mut site = site.restart();
        assert_all_found(&site);
        assert_pages(&site, &mut play.random);
        play.entries(&mut site, 60);
        assert_pages(&site, &mut play.random);
        assert_all_found(&site);
        assert_every_command_was_met(&site);
    }
}

/// The random history must contain every kind of command, or the other tests here show little.
fn assert_every_command_was_met(site: &Site) {
    let met = |what: &str, test: fn(&Command) -> bool| {
        let all = site.given.iter().filter(|given| test(&given.command));
        let committed = all.clone().filter(|given| given.is_committed()).count();
        assert!(committed > 0, "no {what} was committed");
        all.count() - committed
    };
    let mut rejected = 0;
    rejected += met("refund", |command| matches!(command, Command::Refund(_)));
    rejected += met("reversal", |command| matches!(command, Command::Reversal(_)));
    rejected += met("capture", |command| matches!(command, Command::Capture(_)));
    rejected += met("void", |command| matches!(command, Command::Void(_)));
    rejected += met("expiry", |command| matches!(command, Command::ExpireHold(_)));
    met("freeze", |command| matches!(command, Command::SetStatus(_)));
    met("limit", |command| matches!(command, Command::SetLimits(_)));
    met("end of a day", |command| matches!(command, Command::CloseDay(_)));
    assert!(rejected > 20);
    assert!(site.given.iter().filter(|given| given.replayed).count() > 20);
}

/// A client reads pages while newer movements arrive and segments are sealed: nothing appears
/// twice, nothing is missing.
#[test]
fn pages_stay_right_while_new_movements_come() {
    let mut site = Site::new(16 << 10);
    let mut play = Play::new(9);
    play.found(&mut site);
    play.entries(&mut site, 150);
    for account in [WALLETS[0], MERCHANTS[1]] {
        let expected = Model::new(&site).history(account);
        let mut walked = Vec::new();
        let mut before = None;
        loop {
            let page = page(&site, account, 9, before);
            walked.extend(page.items.iter().map(|item| item.transfer.id));
            before = page.next;
            if before.is_none() {
                break;
            }
            play.entries(&mut site, 12);
            if walked.len() > 60 {
                site.seal();
            }
        }
        let expected: Vec<_> = expected.iter().map(|(_, view)| view.transfer.id).collect();
        assert_eq!(walked, expected);
    }
}

#[test]
fn a_page_before_any_place_is_right() {
    let mut site = Site::new(16 << 10);
    let mut play = Play::new(3);
    play.found(&mut site);
    play.entries(&mut site, 120);
    let newest = site.newest();
    for account in [WALLETS[1], BANK] {
        let history = Model::new(&site).history(account);
        for position in 0..=newest + 2 {
            for command in [0, 1, 5, u16::MAX] {
                let before = Cursor { position, command };
                let expected = history.iter().filter(|(at, _)| *at < before);
                let expected: Vec<_> = expected.map(|(_, view)| view.clone()).take(3).collect();
                assert_eq!(page(&site, account, 3, Some(before)).items, expected, "{before:?}");
            }
        }
    }
}
