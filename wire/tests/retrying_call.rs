//! The retrying call over a transport that can't tell whether a site is alive, as HTTP's can't.

#![allow(clippy::unwrap_used, reason = "a test that fails says so by panicking")]

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use evenkeel_wire::client::{
    Attempt, ClientError, ClientOptions, RetryingCall, Route, SiteAddress, SiteTransport,
};
use evenkeel_wire::reply::{Refusal, RefusalCode};
use tokio::time::Instant;

const SILENCE: Duration = Duration::from_millis(50);

/// What a site does with a request.
#[derive(Clone, Copy)]
enum Behaviour {
    Answers,
    /// Takes the request and never answers.
    Hangs,
    /// Never takes the request.
    Unreachable,
    OverloadedOnce(Duration),
    NoPrimary,
    RateLimitedOnce,
}

struct FakeTransport {
    sites: Vec<Behaviour>,
    asked: Mutex<Vec<(usize, Instant)>>,
}

impl FakeTransport {
    fn asked(&self) -> Vec<usize> {
        self.asked.lock().unwrap().iter().map(|(site, _)| *site).collect()
    }
}

impl SiteTransport for FakeTransport {
    /// Whether it may change the ledger.
    type Request = bool;
    type Answer = usize;

    fn may_change_ledger(request: &bool) -> bool {
        *request
    }

    async fn attempt(
        &self,
        site: usize,
        _: &bool,
        _: Instant,
        sent: &AtomicBool,
    ) -> Attempt<usize> {
        let first = !self.asked().contains(&site);
        self.asked.lock().unwrap().push((site, Instant::now()));
        match self.sites[site] {
            Behaviour::Unreachable => std::future::pending().await,
            Behaviour::Hangs => {
                sent.store(true, Ordering::Relaxed);
                std::future::pending().await
            }
            Behaviour::OverloadedOnce(wait) if first => {
                Attempt::Overloaded { why: "later".into(), wait }
            }
            Behaviour::RateLimitedOnce if first => {
                Attempt::from_refusal(Refusal::new(RefusalCode::RateLimited, "too many commands"))
            }
            Behaviour::NoPrimary => Attempt::NoPrimary("none here".into()),
            Behaviour::Answers | Behaviour::OverloadedOnce(_) | Behaviour::RateLimitedOnce => {
                Attempt::Answered(site)
            }
        }
    }

    fn quiet_for(&self, _: usize) -> Option<Duration> {
        None
    }

    fn mark_silent(&self, _: usize) {}
}

struct World {
    transport: FakeTransport,
    route: Route,
    options: ClientOptions,
}

impl World {
    fn new(sites: &[Behaviour]) -> Self {
        let addresses: Vec<SiteAddress> = (1..)
            .take(sites.len())
            .map(|node| SiteAddress {
                name: format!("site{node}"),
                node,
                client: "127.0.0.1:1".parse().unwrap(),
                http: String::new(),
            })
            .collect();
        Self {
            transport: FakeTransport { sites: sites.to_vec(), asked: Mutex::default() },
            route: Route::new(&addresses),
            options: ClientOptions {
                deadline: Duration::from_millis(800),
                silence: SILENCE,
                ..ClientOptions::default()
            },
        }
    }

    async fn call(&self, changes_ledger: bool) -> Result<usize, ClientError> {
        let Self { transport, route, options } = self;
        RetryingCall::new(transport, route, options, &changes_ledger, None).run().await
    }
}

#[tokio::test]
async fn a_site_that_hangs_is_left_after_four_silences_and_rests() {
    let world = World::new(&[Behaviour::Hangs, Behaviour::Answers]);
    let began = Instant::now();
    assert_eq!(world.call(true).await, Ok(1));
    assert!(began.elapsed() >= SILENCE * 4, "{:?}", began.elapsed());
    assert_eq!(world.call(true).await, Ok(1));
    assert_eq!(world.transport.asked(), [0, 1, 1], "the second call begins where the first ended");
}

#[tokio::test]
async fn a_site_that_takes_no_request_is_left_after_one_silence() {
    let world = World::new(&[Behaviour::Unreachable, Behaviour::Answers]);
    let began = Instant::now();
    assert_eq!(world.call(true).await, Ok(1));
    assert!(began.elapsed() >= SILENCE, "{:?}", began.elapsed());
}

#[tokio::test]
async fn only_a_request_that_was_taken_and_changes_the_ledger_ends_as_unknown() {
    for (site, changes_ledger, unknown) in [
        (Behaviour::Hangs, true, true),
        (Behaviour::Hangs, false, false),
        (Behaviour::Unreachable, true, false),
    ] {
        let error = World::new(&[site]).call(changes_ledger).await.unwrap_err();
        assert_eq!(matches!(error, ClientError::Unknown(_)), unknown, "{error}");
        assert!(error.to_string().contains("no answer within 800 ms"), "{error}");
    }
}

#[tokio::test]
async fn an_overloaded_site_is_asked_again_after_the_time_that_it_names() {
    let wait = Duration::from_millis(200);
    let world = World::new(&[Behaviour::OverloadedOnce(wait), Behaviour::Answers]);
    assert_eq!(world.call(true).await, Ok(0));
    let asked = world.transport.asked.lock().unwrap();
    assert_eq!(asked.len(), 2);
    assert!(asked[1].1 - asked[0].1 >= wait);
}

#[tokio::test]
async fn a_key_over_its_rate_waits_and_asks_again() {
    let world = World::new(&[Behaviour::RateLimitedOnce]);
    assert_eq!(world.call(true).await, Ok(0));
    let asked = world.transport.asked.lock().unwrap();
    assert!(asked.len() == 2 && asked[1].1 - asked[0].1 >= Duration::from_millis(100));
}

#[tokio::test]
async fn the_end_names_every_site_that_failed() {
    let mut world = World::new(&[Behaviour::NoPrimary, Behaviour::NoPrimary]);
    world.options.no_primary_is_final = true;
    let error = world.call(true).await.unwrap_err();
    let expected = "site1: none here; site2: none here";
    assert_eq!(error, ClientError::Unavailable(expected.into()));
}

#[tokio::test]
async fn a_client_without_sites_does_nothing() {
    let error = World::new(&[]).call(true).await.unwrap_err();
    assert!(matches!(error, ClientError::Unavailable(_)), "{error}");
}
