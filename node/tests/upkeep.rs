//! The primary's own upkeep: holds are released when they expire, days end at midnight. The test
//! sets the clock.

#[path = "support/applied.rs"]
mod applied;

use std::time::Duration;

use applied::{Applied, FOUNDED, won};
use evenkeel_node::replication::proposing::upkeep::{AllowedChores, Chore, Upkeep};
use evenkeel_wire::{
    account::{AccountKind, Limits, OpenAccount},
    amount::Amount,
    command::Command,
    day::{BusinessDate, CloseDay},
    hold::{Hold, Void},
    id::{AccountId, CommandId},
    limits::EXPIRIES_MAX,
    outcome::{Outcome, Rejection},
    transfer::{Text, Transfer, TransferKind},
};
use tokio::time::{Instant, advance};

const BANK: AccountId = AccountId::new(1);
const WALLET: AccountId = AccountId::new(2);
const MERCHANT: AccountId = AccountId::new(3);

const SECOND: u64 = 1_000_000;
const HOUR: u64 = 3_600 * SECOND;
/// The midnight after genesis.
const MIDNIGHT: u64 = FOUNDED + HOUR;

const ALL: AllowedChores = AllowedChores { day: true, holds: true };

struct Primary {
    ledger: Applied,
    upkeep: Upkeep,
}

impl Primary {
    fn new() -> Self {
        let mut ledger = Applied::founded();
        let open = |id, kind| {
            let (asset, label, limits) = (won(), Text::default(), Limits::default());
            Command::OpenAccount(OpenAccount { id, kind, asset, label, limits })
        };
        let top_up = Command::Transfer(Transfer {
            id: id(1),
            debit: BANK,
            credit: WALLET,
            amount: Amount(1_000_000),
            asset: won(),
            kind: TransferKind::TopUp,
            reference: Text::default(),
            memo: Text::default(),
        });
        let accounts = [
            open(BANK, AccountKind::Bank),
            open(WALLET, AccountKind::Wallet),
            open(MERCHANT, AccountKind::Merchant),
            top_up,
        ];
        assert!(ledger.client(&accounts).iter().all(|outcome| outcome.rejection.is_none()));
        let upkeep = Upkeep::new(ledger.state.clone(), ledger.journal.clone());
        Self { ledger, upkeep }
    }

    fn due(&mut self, time: u64) -> Option<Chore> {
        self.upkeep.next_chore(time, Instant::now(), ALL)
    }

    /// The chore that is due, after the pause between two reads of the ledger.
    async fn due_soon(&mut self, time: u64) -> Option<Chore> {
        advance(Duration::from_millis(100)).await;
        self.due(time)
    }

    /// Performs a chore like the batcher, and returns how many of its commands were committed.
    fn does(&mut self, time: u64, chore: &Chore) -> usize {
        self.ledger.at(time);
        let outcomes = self.ledger.apply(chore.entry());
        let committed =
            |outcome: &&Outcome| outcome.rejection.is_none() && outcome.index != Outcome::NO_INDEX;
        let worked = outcomes.iter().filter(committed).count();
        match chore {
            Chore::EndDay(_) => self.upkeep.day_changed(worked > 0, Instant::now()),
            Chore::Release(_) => self.upkeep.holds_released(worked > 0, Instant::now()),
        }
        worked
    }

    fn holds(&mut self, count: u128, expires_in_ms: u64) -> Vec<CommandId> {
        let ids: Vec<CommandId> = (0..count).map(|n| id(1_000 + n)).collect();
        let hold = |id: &CommandId| {
            Command::Hold(Hold {
                id: *id,
                debit: WALLET,
                credit: MERCHANT,
                amount: Amount(1),
                asset: won(),
                expires_in_ms,
                memo: Text::default(),
            })
        };
        let commands: Vec<Command> = ids.iter().map(hold).collect();
        let outcomes = self.ledger.client(&commands);
        assert!(outcomes.iter().all(|outcome| outcome.rejection.is_none()));
        ids
    }

    fn held(&self) -> i64 {
        self.ledger.state.with_ledger(|ledger| ledger.account(WALLET)).expect("open").held
    }

    fn business_date(&self) -> BusinessDate {
        self.ledger.state.with_ledger(|ledger| ledger.business_date()).expect("bootstrapped")
    }
}

fn id(number: u128) -> CommandId {
    CommandId::from_parts(FOUNDED / 1_000, number)
}

fn date(text: &str) -> BusinessDate {
    BusinessDate::parse(text).expect("a date")
}

fn marker(closed: &str, next: &str) -> Option<Chore> {
    Some(Chore::EndDay(CloseDay { closed: date(closed), next: date(next) }))
}

#[tokio::test(start_paused = true)]
async fn a_hold_is_released_when_its_time_is_up_and_not_before() {
    let mut primary = Primary::new();
    let held = primary.holds(1, 5_000);
    let up = FOUNDED + 5 * SECOND;
    assert_eq!(primary.due(FOUNDED), None);
    assert_eq!(primary.due_soon(up - 1).await, None);
    let chore = primary.due_soon(up).await.expect("due");
    assert_eq!(chore, Chore::Release(held));
    assert_eq!(primary.held(), 1);
    assert_eq!(primary.does(up, &chore), 1);
    assert_eq!(primary.held(), 0);
    assert_eq!(primary.due(up + HOUR / 2), None, "released once");
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_out_of_date_releases_nothing() {
    let mut primary = Primary::new();
    let held = primary.holds(2, 5_000);
    let up = FOUNDED + 5 * SECOND;
    let chore = primary.due(up).expect("due");
    // One hold was voided meanwhile, and the entry's clock is behind.
    primary.ledger.client(&[Command::Void(Void { id: id(2), hold: held[0] })]);
    assert_eq!(primary.does(up - 1, &chore), 0);
    assert_eq!(primary.held(), 1);
    assert_eq!(primary.due(up), None, "not at once: nothing changed");
    let chore = primary.due_soon(up).await.expect("due");
    assert_eq!(chore, Chore::Release(vec![held[1]]));
    assert_eq!(primary.does(up, &chore), 1);
}

#[tokio::test(start_paused = true)]
async fn many_holds_are_released_in_entries_of_a_bounded_size_without_a_pause() {
    let mut primary = Primary::new();
    let count = EXPIRIES_MAX + 100;
    primary.holds(u128::try_from(count).expect("small"), 1);
    let up = FOUNDED + SECOND;
    let mut released = Vec::new();
    while let Some(chore) = primary.due(up) {
        released.push(primary.does(up, &chore));
    }
    assert_eq!(released, [EXPIRIES_MAX, 100]);
    assert_eq!(primary.held(), 0);
}

#[tokio::test(start_paused = true)]
async fn while_a_release_is_under_way_there_is_no_other_and_a_day_ends_all_the_same() {
    let mut primary = Primary::new();
    primary.holds(1, 1);
    let busy = AllowedChores { day: true, holds: false };
    let up = FOUNDED + SECOND;
    assert_eq!(primary.upkeep.next_chore(up, Instant::now(), busy), None);
    let ended = primary.upkeep.next_chore(MIDNIGHT, Instant::now(), busy);
    assert_eq!(ended, marker("2026-11-26", "2026-11-27"));
    let both_busy = AllowedChores { day: false, holds: false };
    assert_eq!(primary.upkeep.next_chore(MIDNIGHT, Instant::now(), both_busy), None);
}

#[tokio::test(start_paused = true)]
async fn a_day_ends_with_the_first_entry_at_midnight_and_before_all_else() {
    let mut primary = Primary::new();
    primary.holds(1, 3_600_000);
    assert_eq!(primary.due(MIDNIGHT - 1), None);
    // The ledger isn't read in between: every entry's time is compared with midnight.
    let chore = primary.due(MIDNIGHT).expect("the day is over");
    assert_eq!(Some(chore.clone()), marker("2026-11-26", "2026-11-27"));
    assert_eq!(primary.does(MIDNIGHT, &chore), 1);
    assert_eq!(primary.business_date(), date("2026-11-27"));
    let chore = primary.due(MIDNIGHT).expect("its time is up too");
    assert!(matches!(chore, Chore::Release(_)));
    assert_eq!(primary.does(MIDNIGHT, &chore), 1);
    assert_eq!(primary.due_soon(MIDNIGHT + 24 * HOUR - 1).await, None);
    assert_eq!(primary.due(MIDNIGHT + 24 * HOUR), marker("2026-11-27", "2026-11-28"));
}

#[tokio::test(start_paused = true)]
async fn a_new_primary_ends_the_days_that_nobody_ended() {
    let mut primary = Primary::new();
    let late = MIDNIGHT + 3 * 24 * HOUR + HOUR;
    primary.upkeep.start_term(Instant::now());
    let chore = primary.due(late).expect("before its first command");
    assert_eq!(Some(chore.clone()), marker("2026-11-26", "2026-11-30"));
    assert_eq!(primary.does(late, &chore), 1);
    assert_eq!(primary.due_soon(late).await, None);
}

#[tokio::test(start_paused = true)]
async fn midnight_ends_no_day_that_is_ahead_of_the_calendar() {
    let mut primary = Primary::new();
    assert_eq!(primary.due(FOUNDED), None);
    let by_hand = CloseDay { closed: date("2026-11-26"), next: date("2026-11-27") };
    let outcome = primary.ledger.node(&[Command::CloseDay(by_hand)]);
    assert_eq!(outcome[0].rejection, None);
    primary.upkeep.day_changed(true, Instant::now());
    assert_eq!(primary.due(MIDNIGHT), None, "the calendar has only caught up");
    assert_eq!(primary.due_soon(MIDNIGHT + 24 * HOUR - 1).await, None);
    let due = primary.due_soon(MIDNIGHT + 24 * HOUR).await;
    assert_eq!(due, marker("2026-11-27", "2026-11-28"));
}

#[tokio::test(start_paused = true)]
async fn a_marker_that_came_too_late_is_not_tried_again_at_once() {
    let mut primary = Primary::new();
    let chore = primary.due(MIDNIGHT).expect("the day is over");
    let Chore::EndDay(marker) = &chore else { panic!("{chore:?}") };
    // Another marker was faster.
    primary.ledger.at(MIDNIGHT);
    primary.ledger.node(&[Command::CloseDay(*marker)]);
    assert_eq!(primary.does(MIDNIGHT, &chore), 0);
    assert_eq!(primary.due(MIDNIGHT), None);
    assert_eq!(primary.due_soon(MIDNIGHT).await, None);
    assert_eq!(primary.business_date(), date("2026-11-27"));
}

/// The engine refused it because the lease had just run out. Later commands belong to the next day,
/// so they wait.
#[tokio::test(start_paused = true)]
async fn a_marker_that_did_not_get_in_is_owed() {
    let mut primary = Primary::new();
    let chore = primary.due(MIDNIGHT).expect("the day is over");
    primary.upkeep.marker_failed(Instant::now());
    assert!(primary.upkeep.owes_marker(Instant::now()));
    assert_eq!(primary.due(MIDNIGHT + 1), None);
    advance(Duration::from_millis(21)).await;
    assert!(!primary.upkeep.owes_marker(Instant::now()));
    assert_eq!(primary.due(MIDNIGHT + 2), Some(chore), "in front of everything else");
}

#[tokio::test(start_paused = true)]
async fn a_marker_is_alone_in_its_entry_or_nothing() {
    let mut primary = Primary::new();
    let marker = CloseDay { closed: date("2026-11-26"), next: date("2026-11-27") };
    let outcomes = primary.ledger.node(&[Command::CloseDay(marker), Command::CloseDay(marker)]);
    let refused = Some(Rejection::DayNotOpen);
    assert!(outcomes.iter().all(|outcome| outcome.rejection == refused), "{outcomes:?}");
}
