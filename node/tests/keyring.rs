//! The keyring: a site's own keys, its queries to the primary, and its behaviour without an answer.
//! The primary is simulated.

#[path = "support/applied.rs"]
mod applied;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use applied::{Applied, OPERATOR};
use evenkeel_node::{
    admission::{Keyring, key_hash},
    road::{Caller, Lead, Reply, Request, Road, RoadExit, Ticket},
    state::freshness::Freshness,
};
use evenkeel_wire::{
    command::Command,
    id::{KeyId, OPERATOR_KEY},
    key::{CreateKey, RevokeKey, Role},
    reply::{KeyView, RefusalCode, View},
    request::Query,
};
use tokio::{
    sync::watch,
    time::{Instant, advance},
};

const TRUSTED_FOR: Duration = Duration::from_millis(150);

/// Simulates the primary at another site: it knows these keys, and answers or stays silent.
#[derive(Default)]
struct Primary {
    keys: Mutex<BTreeMap<[u8; 32], KeyView>>,
    asked: AtomicU64,
    silent: Mutex<bool>,
}

impl Primary {
    fn knows(&self, text: &str, key: u32, revoked: bool) {
        let view = KeyView { key: KeyId(key), role: Role::App, account: None, revoked };
        self.keys.lock().expect("no test panics while it holds this").insert(key_hash(text), view);
    }

    fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    fn falls_silent(&self) {
        *self.silent.lock().expect("no test panics while it holds this") = true;
    }
}

impl RoadExit for Primary {
    fn offer(&self, ticket: Ticket) -> Result<(), Box<Ticket>> {
        let Request::Read(Query::Key(hash)) = ticket.request else {
            panic!("{:?}", ticket.request)
        };
        assert_eq!(ticket.caller, Caller::NODE);
        self.asked.fetch_add(1, Ordering::Relaxed);
        if *self.silent.lock().expect("no test panics while it holds this") {
            ticket.give_up("no answer");
            return Ok(());
        }
        let found =
            self.keys.lock().expect("no test panics while it holds this").get(&hash).copied();
        ticket.reply(Reply::View(Box::new(View::Keys(found.into_iter().collect())), None));
        Ok(())
    }
}

struct Site {
    ledger: Applied,
    keyring: Keyring,
    primary: Arc<Primary>,
    freshness: Arc<Freshness>,
    lead: watch::Sender<Lead>,
}

impl Site {
    fn following() -> Self {
        let ledger = Applied::founded();
        let primary = Arc::new(Primary::default());
        let (lead, seen) = watch::channel(Lead::There(2));
        let road = Arc::new(Road::new(seen, primary.clone(), primary.clone()));
        let freshness = Arc::new(Freshness::default());
        let keyring = Keyring::new(ledger.state.clone(), road, freshness.clone(), TRUSTED_FOR);
        Self { ledger, keyring, primary, freshness, lead }
    }

    /// The primary reports that this site has applied everything.
    fn hears(&self) {
        self.freshness.record_contact(Instant::now(), self.ledger.state.position());
    }

    fn makes(&mut self, text: &str) -> KeyId {
        let create = CreateKey { hash: key_hash(text), role: Role::App, account: None };
        let outcomes = self.ledger.node(&[Command::CreateKey(create)]);
        KeyId(u32::try_from(outcomes[0].amount).expect("a key's number"))
    }

    fn revokes(&mut self, key: KeyId) {
        let outcomes = self.ledger.node(&[Command::RevokeKey(RevokeKey { key })]);
        assert_eq!(outcomes[0].rejection, None);
    }

    async fn code(&self, text: &str) -> Result<Caller, RefusalCode> {
        self.keyring.authenticate(key_hash(text)).await.map_err(|refusal| refusal.code)
    }
}

#[tokio::test(start_paused = true)]
async fn a_known_key_asks_nobody() {
    let mut site = Site::following();
    let operator = site.code(OPERATOR).await.expect("genesis brings it");
    assert_eq!((operator.key, operator.role), (OPERATOR_KEY, Role::Operator));
    let key = site.makes("an app");
    let app = site.code("an app").await.expect("made here");
    assert_eq!((app.key, app.role, app.hash), (key, Role::App, key_hash("an app")));
    assert_eq!(site.keyring.authenticate_locally(&key_hash("an app")), Ok(app));
    assert_eq!(site.primary.asked(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_new_to_this_site_is_the_primarys_to_know() {
    let site = Site::following();
    site.primary.knows("new", 2, false);
    site.primary.knows("over", 3, true);
    assert_eq!(site.code("new").await.map(|caller| caller.key), Ok(KeyId(2)));
    assert_eq!(site.code("over").await, Err(RefusalCode::Unauthorized));
    let unknown_here =
        site.keyring.authenticate_locally(&key_hash("new")).map_err(|refusal| refusal.code);
    assert_eq!(unknown_here, Err(RefusalCode::Unauthorized));
}

#[tokio::test(start_paused = true)]
async fn garbage_is_asked_about_once_in_a_while() {
    let mut site = Site::following();
    for _ in 0..100 {
        assert_eq!(site.code("garbage").await, Err(RefusalCode::Unauthorized));
    }
    assert_eq!(site.primary.asked(), 1);
    for number in 0..1_000 {
        assert_eq!(site.code(&number.to_string()).await, Err(RefusalCode::Unauthorized));
    }
    assert_eq!(site.primary.asked(), 1_001);
    advance(Duration::from_secs(2)).await;
    assert_eq!(site.code("garbage").await, Err(RefusalCode::Unauthorized));
    assert_eq!(site.primary.asked(), 1_002);
    // A hash that was unknown a moment ago is accepted once its key exists here.
    site.makes("garbage");
    assert!(site.code("garbage").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn where_nobody_can_tell_nobody_is_turned_away_for_good() {
    let site = Site::following();
    site.primary.falls_silent();
    assert_eq!(site.code("new").await, Err(RefusalCode::NoPrimary));
    assert!(site.code(OPERATOR).await.is_ok(), "a key known here needs no primary");
}

#[tokio::test(start_paused = true)]
async fn a_revoked_key_is_refused_at_once_and_on_every_stream() {
    let mut site = Site::following();
    let key = site.makes("an app");
    let app = site.code("an app").await.expect("made");
    assert_eq!(site.keyring.recheck(&app), Ok(()));
    site.revokes(key);
    let code = |refusal: evenkeel_wire::reply::Refusal| refusal.code;
    assert_eq!(site.keyring.recheck(&app).map_err(code), Err(RefusalCode::Unauthorized));
    assert_eq!(site.code("an app").await, Err(RefusalCode::Unauthorized));
    let recognised = site.keyring.authenticate_locally(&key_hash("an app")).map_err(code);
    assert_eq!(recognised, Err(RefusalCode::Unauthorized));
    assert!(site.code(OPERATOR).await.is_ok(), "other keys stay valid");
    assert_eq!(site.primary.asked(), 0);
}

/// A follower that lacks a revocation and hasn't heard from its primary for a while must not answer
/// a local read from its own state: the revocation was acknowledged, and a majority can be reached.
#[tokio::test(start_paused = true)]
async fn a_site_that_lags_asks_before_it_answers_by_itself() {
    let mut site = Site::following();
    let key = site.makes("an app");
    let app = site.code("an app").await.expect("made");
    site.hears();
    assert!(site.keyring.is_current());
    assert_eq!(site.keyring.confirm(&app).await, Ok(()));
    assert_eq!(site.primary.asked(), 0, "it has just heard");
    advance(TRUSTED_FOR + Duration::from_millis(1)).await;
    assert!(!site.keyring.is_current());
    site.primary.knows("an app", key.0, false);
    assert_eq!(site.keyring.confirm(&app).await, Ok(()));
    site.primary.knows("an app", key.0, true);
    let confirmed = site.keyring.confirm(&app).await.map_err(|refusal| refusal.code);
    assert_eq!(confirmed, Err(RefusalCode::Unauthorized));
    assert_eq!(site.primary.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_site_that_is_cut_off_honours_what_it_knows() {
    let mut site = Site::following();
    let key = site.makes("an app");
    let app = site.code("an app").await.expect("made");
    site.primary.knows("an app", key.0, true);
    site.primary.falls_silent();
    assert_eq!(site.keyring.confirm(&app).await, Ok(()), "it asked and got no answer");
    assert_eq!(site.primary.asked(), 1);
    site.lead.send_replace(Lead::Nowhere);
    assert!(site.keyring.is_current(), "there's no primary to hear from");
    assert_eq!(site.keyring.confirm(&app).await, Ok(()));
    assert_eq!(site.primary.asked(), 1);
    // Until it hears from the primary again.
    site.revokes(key);
    let confirmed = site.keyring.confirm(&app).await.map_err(|refusal| refusal.code);
    assert_eq!(confirmed, Err(RefusalCode::Unauthorized));
}
