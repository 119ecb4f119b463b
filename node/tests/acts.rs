//! The operator's changes of the ledger and the door between sites: keys and the end of a day come
//! from nodes only. The primary is a ledger that decides every ticket at once.

#[path = "support/applied.rs"]
mod applied;

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use applied::{Applied, OPERATOR, won};
use bytes::{Bytes, BytesMut};
use evenkeel_node::{
    admission::{self, Keyring, key_hash},
    gateway::forward::ForwardDoor,
    metrics::{DoorKind, Metrics},
    operator::{acts::LedgerActs, operations::AdminError},
    replication::peers::transport::{LaneEnds, LaneIn, LaneOut},
    road::{DecidedEntry, Lead, NODES_HASH, Reply, Request, Road, RoadExit, Ticket},
    state::{AppliedState, freshness::Freshness},
};
use evenkeel_wire::{
    account::{AccountKind, Limits, OpenAccount},
    codec,
    command::{Command, Commands},
    day::{BusinessDate, CloseDay},
    frame::{self, Frame},
    id::{AccountId, KeyId},
    key::{CreateKey, RevokeKey, Role},
    outcome::{Answer, Rejection, Stamp},
    peer::{self, ForwardRead, ForwardSubmit},
    reply::{self, Outcomes, RefusalCode, Refused, View, ViewReply},
    request::{Consistency, Query, ReadRequest, Submit},
    transfer::Text,
};
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, watch};

const MERCHANT: AccountId = AccountId::new(3);

/// Decides every ticket at once, optionally after other commands.
struct Alone {
    ledger: Mutex<Applied>,
    state: Arc<AppliedState>,
    /// Decided before the next commands.
    first: Mutex<Vec<Command>>,
}

impl Alone {
    fn ledger(&self) -> MutexGuard<'_, Applied> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RoadExit for Alone {
    fn offer(&self, ticket: Ticket) -> Result<(), Box<Ticket>> {
        match &ticket.request {
            Request::Submit { commands, .. } => {
                let commands: Vec<Command> =
                    Commands::new(commands).map(|command| command.expect("checked").0).collect();
                let mut ledger = self.ledger();
                let first = std::mem::take(&mut *self.first.lock().expect("unpoisoned"));
                if !first.is_empty() {
                    ledger.node(&first);
                }
                let outcomes = if ticket.caller.is_node() {
                    ledger.node(&commands)
                } else {
                    ledger.client(&commands)
                };
                let count = outcomes.len();
                let answers =
                    outcomes.into_iter().map(|outcome| Answer { outcome, first: None }).collect();
                let position = self.state.position().expect("something is applied");
                let stamp = Stamp { position, term: 1, recorded_at: 1, link: [1; 32] };
                ticket.reply(Reply::Decided(Arc::new(DecidedEntry { stamp, answers }), 0..count));
            }
            Request::Read(query) => {
                let reply = match admission::answer_query(&self.state, &ticket.caller, query) {
                    Ok(view) => Reply::View(Box::new(view), None),
                    Err(refusal) => Reply::Refused(refusal),
                };
                ticket.reply(reply);
            }
        }
        Ok(())
    }
}

/// An exit that takes nothing.
struct Nowhere;

impl RoadExit for Nowhere {
    fn offer(&self, ticket: Ticket) -> Result<(), Box<Ticket>> {
        panic!("{:?} must not be offered", ticket.request)
    }
}

struct Site {
    primary: Arc<Alone>,
    road: Arc<Road>,
    keyring: Arc<Keyring>,
    lead: watch::Sender<Lead>,
}

impl Site {
    fn leading() -> Self {
        let mut ledger = Applied::founded();
        ledger.client(&[Command::OpenAccount(OpenAccount {
            id: MERCHANT,
            kind: AccountKind::Merchant,
            asset: won(),
            label: Text::default(),
            limits: Limits::default(),
        })]);
        let state = ledger.state.clone();
        let primary =
            Arc::new(Alone { ledger: Mutex::new(ledger), state, first: Mutex::default() });
        let (lead, seen) = watch::channel(Lead::Here(1));
        let road = Arc::new(Road::new(seen, primary.clone(), Arc::new(Nowhere)));
        let keyring = Arc::new(Keyring::new(
            primary.state.clone(),
            road.clone(),
            Arc::new(Freshness::default()),
            Duration::from_millis(150),
        ));
        Self { primary, road, keyring, lead }
    }

    fn acts(&self) -> LedgerActs {
        let (road, state) = (self.road.clone(), self.primary.state.clone());
        LedgerActs { road, state, keyring: self.keyring.clone() }
    }

    async fn code(&self, text: &str) -> Result<KeyId, RefusalCode> {
        let caller = self.keyring.authenticate(key_hash(text)).await;
        caller.map(|caller| caller.key).map_err(|refusal| refusal.code)
    }

    fn business_date(&self) -> String {
        let date = self.primary.state.with_ledger(|ledger| ledger.business_date());
        date.expect("bootstrapped").to_string()
    }
}

fn rejection(error: AdminError) -> Rejection {
    let AdminError::Rejected { rejection, .. } = error else { panic!("{error:?}") };
    rejection
}

#[tokio::test(start_paused = true)]
async fn a_key_opens_doors_from_its_making_to_its_end() {
    let site = Site::leading();
    let acts = site.acts();
    let made = acts.create_key(Role::Merchant, Some(MERCHANT)).await.expect("made");
    assert_eq!((made.id, made.role.as_str()), (2, "merchant"));
    assert_eq!(made.account, Some(MERCHANT.to_string()));
    assert!(made.key.starts_with("ek_") && made.key.len() == 67, "256 bits behind a prefix");
    assert_ne!(made.key, acts.create_key(Role::App, None).await.expect("another").key);
    let caller = site.keyring.authenticate_locally(&key_hash(&made.key)).expect("known");
    assert_eq!(
        (caller.key, caller.role, caller.account),
        (KeyId(2), Role::Merchant, Some(MERCHANT))
    );
    let listed = acts.keys().await.expect("listed");
    let listed: Vec<_> =
        listed.iter().map(|key| (key.id, key.role.as_str(), key.revoked)).collect();
    let expected = [(1, "operator", false), (2, "merchant", false), (3, "app", false)];
    assert_eq!(listed, expected);

    acts.revoke_key(KeyId(2)).await.expect("revoked");
    assert_eq!(site.code(&made.key).await, Err(RefusalCode::Unauthorized));
    assert_eq!(site.code(OPERATOR).await, Ok(KeyId(1)));
    assert!(acts.keys().await.expect("listed")[1].revoked);
    acts.revoke_key(KeyId(2)).await.expect("revoked for good");
}

#[tokio::test(start_paused = true)]
async fn what_the_ledger_says_no_to_is_told_by_its_code() {
    let acts = Site::leading().acts();
    let unknown = acts.revoke_key(KeyId(9)).await.expect_err("no such key");
    assert_eq!(rejection(unknown), Rejection::KeyNotFound);
    for (role, account) in [
        (Role::Merchant, None),
        (Role::Merchant, Some(AccountId::new(99))),
        (Role::App, Some(MERCHANT)),
    ] {
        let error = acts.create_key(role, account).await.expect_err("no such account");
        assert_eq!(rejection(error), Rejection::KeyAccountInvalid, "{role} {account:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_day_is_closed_by_hand_and_the_next_one_is_the_day_after() {
    let site = Site::leading();
    let closed = site.acts().close_day().await.expect("closed");
    assert_eq!((closed.date.as_str(), closed.next.as_str()), ("2026-11-26", "2026-11-27"));
    assert_eq!(site.business_date(), "2026-11-27");
    let again = site.acts().close_day().await.expect("closed");
    assert_eq!((again.date.as_str(), again.next.as_str()), ("2026-11-27", "2026-11-28"));
    assert_eq!(again.position, closed.position + 1);
}

/// Midnight, or an attempt whose answer was lost, ended the day between the query for its date and
/// the marker: the operator gets that end, and the day that has just begun isn't closed.
#[tokio::test(start_paused = true)]
async fn a_day_that_somebody_closed_a_moment_before_is_closed_once() {
    let site = Site::leading();
    let date = |text| BusinessDate::parse(text).expect("a date");
    let midnight = CloseDay { closed: date("2026-11-26"), next: date("2026-11-27") };
    site.primary.first.lock().expect("unpoisoned").push(Command::CloseDay(midnight));
    let before = site.primary.state.position().expect("bootstrapped");
    let closed = site.acts().close_day().await.expect("it is closed");
    assert_eq!((closed.date.as_str(), closed.next.as_str()), ("2026-11-26", "2026-11-27"));
    assert_eq!(closed.position, before + 1, "midnight's marker");
    assert_eq!(site.business_date(), "2026-11-27");
}

#[tokio::test(start_paused = true)]
async fn without_a_primary_nothing_is_done() {
    let site = Site::leading();
    let road = site.road.clone();
    tokio::spawn(async move { road.drain_waiting().await });
    site.lead.send_replace(Lead::Nowhere);
    for error in [
        site.acts().close_day().await.map(drop).expect_err("no primary"),
        site.acts().create_key(Role::App, None).await.map(drop).expect_err("no primary"),
        site.acts().revoke_key(KeyId(1)).await.expect_err("no primary"),
        site.acts().keys().await.map(drop).expect_err("no primary"),
    ] {
        assert!(matches!(error, AdminError::Unavailable(_)), "{error:?}");
    }
    assert_eq!(site.business_date(), "2026-11-26");
}

/// One end of a lane between two sites: frames in, frames out.
struct Frames(mpsc::Receiver<Frame>);
struct Answers(mpsc::Sender<Bytes>);

impl LaneIn for Frames {
    fn receive(&mut self) -> BoxFuture<'_, io::Result<Option<Frame>>> {
        Box::pin(async { Ok(self.0.recv().await) })
    }
}

impl LaneOut for Answers {
    fn send(&mut self, frames: Bytes) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(async { self.0.send(frames).await.map_err(io::Error::other) })
    }
}

/// Another site, at its end of a lane to the primary.
struct Peer {
    frames: mpsc::Sender<Frame>,
    answers: mpsc::Receiver<Bytes>,
}

#[derive(Debug)]
enum Told {
    Outcomes(Outcomes),
    View(View),
    Refused(RefusalCode),
}

impl Peer {
    fn of(site: &Site) -> Self {
        let (frames, inbound) = mpsc::channel(8);
        let (out, answers) = mpsc::channel(8);
        let door = Arc::new(ForwardDoor {
            road: site.road.clone(),
            state: site.primary.state.clone(),
            keyring: site.keyring.clone(),
            metrics: Metrics::new().door(DoorKind::Forward).clone(),
        });
        let ends = LaneEnds {
            out: Box::new(Answers(out)),
            inbound: Box::new(Frames(inbound)),
            link: None,
        };
        tokio::spawn(async move { door.serve(ends).await });
        Self { frames, answers }
    }

    async fn asks(&mut self, bytes: Vec<u8>) -> Told {
        let mut bytes = BytesMut::from(&*bytes);
        let frame = frame::take_frame(&mut bytes).expect("well formed").expect("a whole frame");
        self.frames.send(frame).await.expect("the door receives");
        let answer = self.answers.recv().await.expect("the door answers");
        let mut answer = BytesMut::from(&*answer);
        let frame = frame::take_frame(&mut answer).expect("well formed").expect("a whole frame");
        match frame.kind {
            reply::OUTCOMES => Told::Outcomes(codec::decode(&frame.body).expect("outcomes")),
            reply::VIEW => {
                Told::View(codec::decode::<ViewReply>(&frame.body).expect("a view").view)
            }
            reply::REFUSED => {
                let refused: Refused = codec::decode(&frame.body).expect("a refusal");
                Told::Refused(refused.refusal.code)
            }
            other => panic!("a frame of type {other}"),
        }
    }

    async fn submits(&mut self, key: [u8; 32], commands: &[Command]) -> Told {
        let commands: Bytes = commands.iter().flat_map(codec::encode).collect();
        let submit = Submit { number: 1, deadline_ms: 1_000, count: 1, atomic: false, commands };
        let mut bytes = Vec::new();
        ForwardSubmit { key, submit }.write(&mut bytes);
        self.asks(bytes).await
    }

    async fn reads(&mut self, key: [u8; 32], query: Query) -> Told {
        let consistency = Consistency::Linearizable;
        let read = ReadRequest { number: 1, deadline_ms: 1_000, consistency, query };
        let mut bytes = Vec::new();
        let at = frame::start(&mut bytes, peer::FORWARD_READ);
        codec::encode_into(&ForwardRead { key, read }, &mut bytes);
        frame::finish(&mut bytes, at);
        self.asks(bytes).await
    }
}

fn open(id: u128) -> Command {
    let (kind, asset) = (AccountKind::Wallet, won());
    let (label, limits) = (Text::default(), Limits::default());
    Command::OpenAccount(OpenAccount { id: AccountId::new(id), kind, asset, label, limits })
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_asks_for_itself_gets_what_nodes_make_and_nothing_else() {
    let site = Site::leading();
    let mut peer = Peer::of(&site);
    let create = Command::CreateKey(CreateKey { hash: [5; 32], role: Role::App, account: None });
    let told = peer.submits(NODES_HASH, std::slice::from_ref(&create)).await;
    let Told::Outcomes(outcomes) = told else { panic!("{told:?}") };
    assert_eq!(
        (outcomes.answers[0].outcome.rejection, outcomes.answers[0].outcome.amount),
        (None, 2)
    );
    let told = peer.reads(NODES_HASH, Query::Key([5; 32])).await;
    let Told::View(View::Keys(keys)) = told else { panic!("{told:?}") };
    assert_eq!((keys[0].key, keys[0].role), (KeyId(2), Role::App));
    let told = peer.reads(NODES_HASH, Query::Position).await;
    assert!(matches!(told, Told::View(View::Position(_))), "{told:?}");

    let told = peer.submits(NODES_HASH, &[open(7)]).await;
    assert!(matches!(told, Told::Refused(RefusalCode::Forbidden)), "{told:?}");
    let told = peer.reads(NODES_HASH, Query::Account(MERCHANT)).await;
    assert!(matches!(told, Told::Refused(RefusalCode::Forbidden)), "{told:?}");
    let operator = key_hash(OPERATOR);
    let told = peer.submits(operator, &[create]).await;
    assert!(matches!(told, Told::Refused(RefusalCode::Forbidden)), "not even operators: {told:?}");
    let told = peer.reads(operator, Query::Keys).await;
    assert!(matches!(told, Told::Refused(RefusalCode::Forbidden)), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_forwarded_key_is_judged_where_it_is_decided() {
    let site = Site::leading();
    let mut peer = Peer::of(&site);
    let operator = key_hash(OPERATOR);
    let told = peer.submits(operator, &[open(7)]).await;
    assert!(matches!(told, Told::Outcomes(_)), "{told:?}");
    let told = peer.submits([9; 32], &[open(8)]).await;
    assert!(matches!(told, Told::Refused(RefusalCode::Unauthorized)), "{told:?}");
    let revoke = Command::RevokeKey(RevokeKey { key: KeyId(1) });
    let told = peer.submits(NODES_HASH, &[revoke]).await;
    assert!(matches!(told, Told::Outcomes(_)), "{told:?}");
    let told = peer.submits(operator, &[open(8)]).await;
    assert!(matches!(told, Told::Refused(RefusalCode::Unauthorized)), "at once: {told:?}");
}

/// A former primary may lack the newest keys: it must answer that it isn't the primary rather than
/// refuse the key.
#[tokio::test(start_paused = true)]
async fn a_site_that_no_longer_leads_judges_no_key() {
    let site = Site::leading();
    let mut peer = Peer::of(&site);
    site.lead.send_replace(Lead::There(2));
    for key in [[9; 32], key_hash(OPERATOR), NODES_HASH] {
        let told = peer.submits(key, &[open(7)]).await;
        assert!(matches!(told, Told::Refused(RefusalCode::NoPrimary)), "{told:?}");
    }
}
