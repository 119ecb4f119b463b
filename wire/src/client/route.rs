//! The order in which sites are asked.
//!
//! The primary is first if it's known. A site that has just failed rests for a moment.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{ClientError, SiteAddress};
use crate::reply::Welcome;

/// The time for which a site that failed isn't asked first.
const REST: Duration = Duration::from_secs(1);

/// A client's memory of its sites, shared by its calls.
#[derive(Debug)]
pub struct Route {
    sites: Vec<SiteAddress>,
    state: Mutex<RouteState>,
}

#[derive(Debug)]
struct RouteState {
    first: usize,
    rests_until: Vec<Option<Instant>>,
    welcome: Option<Welcome>,
}

impl RouteState {
    fn is_resting(&self, site: usize, now: Instant) -> bool {
        self.rests_until[site].is_some_and(|until| now < until)
    }
}

impl Route {
    /// A route that begins with the first of these sites.
    #[must_use]
    pub fn new(sites: &[SiteAddress]) -> Self {
        let state = RouteState { first: 0, rests_until: vec![None; sites.len()], welcome: None };
        Self { sites: sites.to_vec(), state: Mutex::new(state) }
    }

    /// The index of the site of this name.
    ///
    /// # Errors
    /// `Unavailable` when there is none.
    pub fn find_site(&self, name: &str) -> Result<usize, ClientError> {
        let found = self.sites.iter().position(|site| site.name == name);
        found.ok_or_else(|| ClientError::Unavailable(format!("no site is called {name}")))
    }

    /// A site's name.
    #[must_use]
    pub fn site_name(&self, site: usize) -> &str {
        &self.sites[site].name
    }

    pub(crate) fn site_count(&self) -> usize {
        self.sites.len()
    }

    /// The site to ask: the first choice, else one that doesn't rest, else any; never one of
    /// `busy`.
    pub(crate) fn choose(&self, busy: &[usize], after: Option<usize>) -> Option<usize> {
        let state = self.lock();
        let now = Instant::now();
        let sites = self.sites.len();
        let start = after.map_or(state.first, |last| last + 1);
        let free = || (0..sites).map(|step| (start + step) % sites).filter(|s| !busy.contains(s));
        free().find(|site| !state.is_resting(*site, now)).or_else(|| free().next())
    }

    /// A site named itself and the primary.
    pub(crate) fn update_primary(&self, welcome: Welcome) {
        let mut state = self.lock();
        let leader = welcome.primary.unwrap_or(welcome.node);
        let now = Instant::now();
        if let Some(site) = self.sites.iter().position(|site| site.node == leader)
            && !state.is_resting(site, now)
        {
            state.first = site;
        }
        state.welcome = Some(welcome);
    }

    /// A site answered.
    pub(crate) fn mark_answered(&self, site: usize) {
        let mut state = self.lock();
        state.rests_until[site] = None;
        // If the first choice rests, this site is the better one: it answers.
        let first = state.first;
        if first != site && state.is_resting(first, Instant::now()) {
            state.first = site;
        }
    }

    /// A site failed: silent, lost, or unable to decide.
    pub(crate) fn mark_failed(&self, site: usize) {
        let mut state = self.lock();
        let now = Instant::now();
        state.rests_until[site] = Some(now + REST);
        if state.first == site {
            let sites = self.sites.len();
            let next = (1..sites).map(|step| (site + step) % sites);
            state.first = next.clone().find(|next| !state.is_resting(*next, now)).unwrap_or(site);
        }
    }

    pub(crate) fn last_welcome(&self) -> Option<Welcome> {
        self.lock().welcome.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, RouteState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
