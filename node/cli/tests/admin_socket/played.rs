//! The simulated node behind the socket, and its admin socket.

use std::{
    fs,
    io::{Read, Write},
    os::unix::{fs::PermissionsExt, net::UnixStream},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use evenkeel_node::{
    clock::SystemClock,
    config::{LogConfig, LogFormat},
    gateway::admin::{AdminDoor, AdminSocket, BindError},
    operator::operations::{AdminError, Operations},
    operator::status::{
        ClosedDay, CreatedKey, JournalEntry, KnownKey, PeerStatus, Primary, Role, Status,
        Switchover,
    },
    replay::verify_report::{DamageReport, VerifyReport},
    telemetry::{SiteNames, Telemetry, timeline::Timeline},
};
use evenkeel_wire::{
    id::{AccountId, KeyId},
    key::Role as KeyRole,
    outcome::Rejection,
};
use futures_util::future::BoxFuture;
use tempfile::TempDir;

use crate::support::{evenkeel, finish};

/// Simulates a primary at pangyo with one damaged segment.
#[derive(Default)]
pub(crate) struct Played {
    pub(crate) switchovers: AtomicU64,
    pub(crate) closed_days: AtomicU64,
}

/// Only the response to the request that creates the key may contain it.
pub(crate) const SECRET: &str =
    "ek_0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
pub(crate) const MERCHANT: &str = "00000000-0000-4000-8000-000000000003";

impl Operations for Played {
    fn status(&self) -> Status {
        Status {
            cluster: "644528e4-8ce5-46e4-9e92-4e05c831e139".to_owned(),
            node: 1,
            site: "pangyo".to_owned(),
            role: Role::Primary,
            term: 7,
            primary: Some(Primary { node: 1, site: "pangyo".to_owned() }),
            committed: Some(42),
            applied: Some(42),
            flushed: None,
            chain_head: Some("ab".repeat(32)),
            digests: Vec::new(),
            business_date: None,
            peers: vec![PeerStatus {
                node: 2,
                site: "sangam".to_owned(),
                reachable: true,
                matched: Some(41),
                lag: Some(1),
                last_heard_ms: Some(3),
                rtt_ms: Some(0.25),
                clock_offset_ms: Some(-7),
                error: None,
                differs: Vec::new(),
            }],
            ledger_ahead_ms: 0,
            ready: true,
            waits_for: None,
            version: "0.1.0".to_owned(),
            uptime_s: 5,
        }
    }

    fn switchover(&self, to: String) -> BoxFuture<'_, Result<Switchover, AdminError>> {
        Box::pin(async move {
            self.switchovers.fetch_add(1, Ordering::Relaxed);
            match to.as_str() {
                "busan" => {
                    Ok(Switchover { from: "pangyo".to_owned(), to, term: 8, pause_ms: 12.5 })
                }
                "sangam" => Err(AdminError::Unavailable("sangam lags".to_owned())),
                _ => Err(AdminError::Invalid(format!("no site is called {to}"))),
            }
        })
    }

    fn journal(
        &self,
        from: Option<u64>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<JournalEntry>, AdminError>> {
        let entry = |position| JournalEntry {
            position,
            term: 7,
            time: None,
            kind: "blank".to_owned(),
            commands: 0,
            bytes: 0,
            link: "cd".repeat(32),
        };
        let first = from.unwrap_or(40);
        let entries = (first..).take(limit.min(3)).map(entry).collect();
        Box::pin(async move { Ok(entries) })
    }

    fn verify(&self) -> BoxFuture<'_, Result<VerifyReport, AdminError>> {
        let damage = DamageReport {
            file: "journal/0001.seg".to_owned(),
            offset: Some(4096),
            position: Some(9),
            what: "its link doesn't match".to_owned(),
        };
        let report = VerifyReport {
            first: Some(0),
            last: Some(42),
            entries: 9,
            head: None,
            ok: false,
            damage: Some(damage),
            digest: None,
        };
        Box::pin(async move { Ok(report) })
    }

    fn create_key(
        &self,
        role: KeyRole,
        account: Option<AccountId>,
    ) -> BoxFuture<'_, Result<CreatedKey, AdminError>> {
        let merchant = role == KeyRole::Merchant;
        Box::pin(async move {
            if merchant != account.is_some() {
                let rejection = Rejection::KeyAccountInvalid;
                let detail = "a merchant's key names a merchant's account".to_owned();
                return Err(AdminError::Rejected { rejection, detail });
            }
            let account = account.map(|account| account.to_string());
            Ok(CreatedKey { id: 2, key: SECRET.to_owned(), role: role.name().to_owned(), account })
        })
    }

    fn keys(&self) -> BoxFuture<'_, Result<Vec<KnownKey>, AdminError>> {
        let key = |id, role: &str, account: Option<&str>, revoked| KnownKey {
            id,
            role: role.to_owned(),
            account: account.map(str::to_owned),
            revoked,
        };
        let keys = vec![key(1, "operator", None, false), key(2, "merchant", Some(MERCHANT), true)];
        Box::pin(async move { Ok(keys) })
    }

    fn revoke_key(&self, id: KeyId) -> BoxFuture<'_, Result<(), AdminError>> {
        Box::pin(async move {
            if id.0 == 2 {
                return Ok(());
            }
            let rejection = Rejection::KeyNotFound;
            Err(AdminError::Rejected { rejection, detail: format!("there is no key {}", id.0) })
        })
    }

    fn close_day(&self) -> BoxFuture<'_, Result<ClosedDay, AdminError>> {
        self.closed_days.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            Ok(ClosedDay {
                date: "2026-11-26".to_owned(),
                next: "2026-11-27".to_owned(),
                position: 42,
                link: "ef".repeat(32),
            })
        })
    }
}

pub(crate) struct Served {
    pub(crate) folder: TempDir,
    pub(crate) node: Arc<Played>,
    _runtime: tokio::runtime::Runtime,
    pub(crate) stop: Option<tokio::sync::oneshot::Sender<()>>,
}

impl Served {
    pub(crate) fn start() -> Self {
        let folder = closed_folder();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let node = Arc::new(Played::default());
        let door = AdminDoor {
            operations: node.clone(),
            timeline: Timeline::open(folder.path(), Arc::new(SystemClock)).expect("a timeline"),
            telemetry: telemetry(),
            clock: Arc::new(SystemClock),
        };
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let path = folder.path().join("admin.sock");
        let socket = runtime.block_on(async { AdminSocket::bind(&path) }).expect("bound");
        runtime.spawn(door.serve(socket, async { drop(stopped.await) }));
        Self { folder, node, _runtime: runtime, stop: Some(stop) }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("admin.sock")
    }

    pub(crate) fn admin(&self, arguments: &[&str]) -> (i32, String, String) {
        let mut command = evenkeel();
        command.arg("admin").arg("--socket").arg(self.path()).args(arguments);
        finish(command.output().expect("the program starts"))
    }

    /// Sends a raw HTTP request; returns status and body.
    pub(crate) fn http(&self, request: &str) -> (u16, String) {
        let mut stream = UnixStream::connect(self.path()).expect("the socket accepts");
        stream.write_all(request.as_bytes()).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("answered");
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
        (status.expect("a status"), body.expect("a body"))
    }

    pub(crate) fn timeline(&self) -> String {
        fs::read_to_string(self.folder.path().join("timeline.jsonl")).expect("readable")
    }
}

/// One log for all tests of this process.
pub(crate) fn telemetry() -> Telemetry {
    static LOG: std::sync::OnceLock<Telemetry> = std::sync::OnceLock::new();
    LOG.get_or_init(|| {
        let quiet = LogConfig { format: LogFormat::Json, filter: "off".to_owned() };
        Telemetry::start(&quiet, &SiteNames::default()).expect("the first in this process")
    })
    .clone()
}

pub(crate) fn closed_folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).expect("mine");
    folder
}

pub(crate) fn bind(path: &Path) -> Result<AdminSocket, BindError> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async { AdminSocket::bind(path) })
}
