//! A complete site without replication: the production door, admission, ledger and history over a
//! journal in memory. Its exit of the road decides immediately, or fails in the way a test selects.

use std::{
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use bytes::Bytes;
use evenkeel_ledger::{EntryHead, Ledger, MemoryAdvice};
use evenkeel_node::{
    admission::{self, Keyring, quota::Quota},
    config::HttpTls,
    config::Rates,
    gateway::http::{HttpDoorParts, HttpPlaces, HttpServer},
    history::History,
    history::record_kind,
    metrics::{DoorKind, Metrics},
    operator::{
        health::{ClusterStatus, Health, Probe, SiteStatus},
        status::{Primary, Role},
    },
    road::{DecidedEntry, Lead, Reply, Request, Road, RoadExit, Ticket},
    state::{AppliedState, freshness::Freshness},
};
use evenkeel_storage::{
    disk::MemoryDisk,
    journal::{self, Journal, JournalOptions, NewRecord, index::Indexes},
};
use evenkeel_wire::{
    amount::Asset,
    codec,
    command::Command,
    day::{BusinessDate, CloseDay},
    entry::EntryBuilder,
    genesis::Genesis,
    id::{ClusterId, KeyId, NODES},
    key::{CreateKey, Role as KeyRole},
    outcome::Stamp,
    reply::{KeyView, RefusalCode, View},
    request::Query,
    transfer::Text,
};
use tokio::{runtime::Runtime, sync::watch, time::Instant};

/// The time of the first entry, in microseconds; each later entry is one millisecond later.
pub(crate) const START_MICROS: u64 = 1_790_000_000_000_000;

pub(crate) const OPERATOR_KEY: &str = "ek_operator";

/// The behaviour of the road.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    Decides,
    /// Refuses with this code, as the primary or the road would.
    Refuses(RefusalCode),
    /// Decides; reports every key as revoked.
    KnowsAllRevoked,
    /// Decides; answers key queries only after this delay and reports every key as the operator's.
    TellsKeysAfter(Duration),
}

/// The journal and the ledger behind it, as one exit of the road.
pub(crate) struct Deciding {
    pub(crate) state: Arc<AppliedState>,
    journal: Journal,
    /// The time of the first entry.
    start_micros: u64,
    mood: Mutex<Mood>,
}

impl Deciding {
    fn new(start_micros: u64) -> Self {
        let disk = Arc::new(MemoryDisk::new(1));
        let options = JournalOptions::new([7; 16]);
        let (journal, writer, _) =
            journal::open(disk.clone(), Path::new("/data"), options).expect("an empty disk opens");
        std::thread::spawn(move || writer.run());
        let indexes = Arc::new(Indexes::open_all(disk, &journal.folder(), &[]));
        let history = Arc::new(History::new(journal.clone(), indexes));
        let state =
            Arc::new(AppliedState::new(Ledger::new(MemoryAdvice::NONE), history, journal.clone()));
        let site = Self { state, journal, start_micros, mood: Mutex::new(Mood::Decides) };
        let genesis = Command::Genesis(Box::new(genesis()));
        site.decide(NODES, false, 1, &codec::encode(&genesis));
        site
    }

    /// Writes an entry of one group and applies it.
    pub(crate) fn decide(
        &self,
        key: KeyId,
        atomic: bool,
        count: u32,
        commands: &[u8],
    ) -> Arc<DecidedEntry> {
        let mut entry = EntryBuilder::new();
        entry.push(key, atomic, count, commands);
        let payload = Bytes::from(entry.finish());
        let position = self.journal.newest_tip().map_or(0, |tip| tip.position + 1);
        let time = self.start_micros + position * 1_000;
        let record = NewRecord {
            position,
            term: 1,
            time,
            kind: record_kind::COMMANDS,
            payload: payload.clone(),
        };
        let (done, written) = mpsc::channel();
        let told = Box::new(move |result| drop(done.send(result)));
        self.journal.append(vec![record], told).expect("a disk in memory accepts writes");
        written.recv().expect("the writer lives").expect("a disk in memory accepts writes");
        let link = self.journal.newest_tip().expect("just written").link.0;
        let head = EntryHead { position, term: 1, time, link };
        let answers = self.state.apply(&head, &payload).expect("the ledger has no fault");
        let stamp = Stamp { position, term: 1, recorded_at: time, link };
        Arc::new(DecidedEntry { stamp, answers })
    }
}

impl RoadExit for Deciding {
    fn offer(&self, ticket: Ticket) -> Result<(), Box<Ticket>> {
        if ticket.deadline <= Instant::now() {
            ticket.refuse(RefusalCode::Overloaded, "the deadline has passed");
            return Ok(());
        }
        match *self.mood.lock().expect("no panic") {
            Mood::Refuses(code) => ticket.refuse(code, "by the test"),
            Mood::KnowsAllRevoked if matches!(ticket.request, Request::Read(Query::Key(_))) => {
                let keys = self.state.with_ledger(|ledger| ledger.keys());
                let revoked = keys.into_iter().map(|key| KeyView { revoked: true, ..key });
                ticket.reply(Reply::View(Box::new(View::Keys(revoked.collect())), None));
            }
            Mood::TellsKeysAfter(pause)
                if matches!(ticket.request, Request::Read(Query::Key(_))) =>
            {
                let keys = self.state.with_ledger(|ledger| ledger.keys());
                std::thread::spawn(move || {
                    std::thread::sleep(pause);
                    ticket.reply(Reply::View(Box::new(View::Keys(keys)), None));
                });
            }
            _ => match ticket.request.clone() {
                Request::Submit { count, atomic, commands } => {
                    let decided = self.decide(ticket.caller.key, atomic, count, &commands);
                    let all = 0..decided.answers.len();
                    ticket.reply(Reply::Decided(decided, all));
                }
                Request::Read(query) => {
                    match admission::answer_query(&self.state, &ticket.caller, &query) {
                        Ok(view) => ticket.reply(Reply::View(Box::new(view), None)),
                        Err(refusal) => ticket.reply(Reply::Refused(refusal)),
                    }
                }
            },
        }
        Ok(())
    }
}

impl Drop for Deciding {
    fn drop(&mut self) {
        self.journal.close();
    }
}

fn genesis() -> Genesis {
    Genesis {
        cluster: ClusterId([7; 16]),
        assets: vec![asset("KRW"), asset("POINT")],
        wallet_max_balance: 2_000_000,
        id_horizon_ms: 7 * 24 * 3_600_000,
        id_tolerance_ms: 300_000,
        time_zone: Text::new("Asia/Seoul").expect("short"),
        operator_key: admission::key_hash(OPERATOR_KEY),
        first_date: BusinessDate::parse("2026-09-21").expect("a day"),
    }
}

fn asset(name: &str) -> Asset {
    Asset::parse(name).expect("a name")
}

/// Operators' requests aren't limited.
const UNCOUNTED: Rates = Rates {
    requests_per_second: 1,
    burst: 1,
    commands_per_second: 1,
    bytes_per_second: 1,
    operator_exempt: true,
};

const MANY: HttpPlaces = HttpPlaces { all: 1_000, per_address: 1_000 };

/// A site and its open HTTP port.
pub(crate) struct Site {
    pub(crate) address: SocketAddr,
    pub(crate) deciding: Arc<Deciding>,
    lead: watch::Sender<Lead>,
    stop: watch::Sender<bool>,
    _runtime: Runtime,
}

impl Site {
    pub(crate) fn start() -> Self {
        Self::at(START_MICROS)
    }

    /// A site whose entries start at this time.
    pub(crate) fn at(start_micros: u64) -> Self {
        Self::begin(start_micros, UNCOUNTED, None, true, MANY)
    }

    /// A site that has heard nothing from its primary so far.
    pub(crate) fn lagging() -> Self {
        Self::begin(START_MICROS, UNCOUNTED, None, false, MANY)
    }

    pub(crate) fn with_rates(rates: Rates) -> Self {
        Self::begin(START_MICROS, rates, None, true, MANY)
    }

    /// A site that speaks TLS with this certificate.
    pub(crate) fn with_tls(start_micros: u64, tls: &HttpTls) -> Self {
        Self::begin(start_micros, UNCOUNTED, Some(tls), true, MANY)
    }

    /// A site that serves at most this many connections.
    pub(crate) fn with_places(places: HttpPlaces) -> Self {
        Self::begin(START_MICROS, UNCOUNTED, None, true, places)
    }

    fn begin(
        start_micros: u64,
        rates: Rates,
        tls: Option<&HttpTls>,
        is_current: bool,
        places: HttpPlaces,
    ) -> Self {
        let deciding = Arc::new(Deciding::new(start_micros));
        let (lead, following) = watch::channel(Lead::Here(1));
        let road = Arc::new(Road::new(following, deciding.clone(), deciding.clone()));
        let (stop, stopping) = watch::channel(false);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let inside = runtime.enter();
        let any = "127.0.0.1:0".parse().expect("an address");
        let server = HttpServer::bind(any, tls, places).expect("a free port");
        let address = server.local_address().expect("bound");
        drop(inside);
        let state = deciding.state.clone();
        let attending = road.clone();
        let freshness = Arc::new(Freshness::default());
        if is_current {
            freshness.record_quorum(Instant::now());
        }
        let an_hour = Duration::from_secs(3_600);
        let keyring = Keyring::new(state.clone(), road.clone(), freshness.clone(), an_hour);
        runtime.spawn(async move { attending.drain_waiting().await });
        runtime.spawn(server.serve(HttpDoorParts {
            keyring: Arc::new(keyring),
            road,
            freshness,
            health: Arc::new(Well),
            metrics: Metrics::new().door(DoorKind::Http).clone(),
            state,
            quota: Arc::new(Quota::new(rates)),
            stopping,
            process: 0xabc,
        }));
        Self { address, deciding, lead, stop, _runtime: runtime }
    }

    pub(crate) fn mood(&self, mood: Mood) {
        *self.deciding.mood.lock().expect("no panic") = mood;
    }

    pub(crate) fn lead(&self, lead: Lead) {
        self.lead.send_replace(lead);
    }

    /// Closes a business day, as the primary does.
    pub(crate) fn close_day(&self, closed: &str, next: &str) {
        let day = |text| BusinessDate::parse(text).expect("a day");
        let close = Command::CloseDay(CloseDay { closed: day(closed), next: day(next) });
        let decided = self.deciding.decide(NODES, false, 1, &codec::encode(&close));
        assert_eq!(decided.answers[0].outcome.rejection, None);
    }

    /// Creates a key, as the admin socket does.
    pub(crate) fn make_key(&self, text: &str, role: KeyRole) {
        let create = CreateKey { hash: admission::key_hash(text), role, account: None };
        let command = codec::encode(&Command::CreateKey(create));
        let decided = self.deciding.decide(NODES, false, 1, &command);
        assert_eq!(decided.answers[0].outcome.rejection, None);
    }

    pub(crate) fn stop(&self) {
        self.stop.send_replace(true);
    }
}

/// A healthy primary.
struct Well;

impl Health for Well {
    fn passes_probe(&self, probe: Probe) -> bool {
        probe.is_satisfied(Lead::Here(1), true, false)
    }

    fn cluster_status(&self) -> ClusterStatus {
        ClusterStatus {
            cluster: "c".into(),
            node: 1,
            site: "pangyo".into(),
            role: Role::Primary,
            term: 1,
            primary: Some(Primary { node: 1, site: "pangyo".into() }),
            ready: true,
            committed: Some(9),
            applied: Some(9),
            business_date: None,
            ledger_ahead_ms: 0,
            version: "0".into(),
            uptime_s: 1,
            volatile: false,
            sites: vec![SiteStatus {
                node: 1,
                site: "pangyo".into(),
                role: Some(Role::Primary),
                reachable: true,
                lag: Some(0),
                rtt_ms: None,
                clock_offset_ms: Some(0),
            }],
        }
    }

    fn scrape(&self) -> String {
        "evenkeel_up 1\n".into()
    }
}
