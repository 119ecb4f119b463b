//! What the sites run with, compared: version, profile, genesis, members. A difference is an alarm
//! at both sites, once for each; the cluster may work with it, and will fail later because of it.
//!
//! It never refuses a peer: only a certificate of another cluster does that.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use evenkeel_wire::{
    codec,
    day::BusinessDate,
    frame,
    genesis::Genesis,
    id::NodeId,
    peer::{self, AboutMember, Lane, PeerAbout},
    transfer::Text,
};
use tokio::time::timeout;

use crate::{
    config::Config,
    replication::peers::transport::{LaneEnds, PeerTransport},
    state::AppliedState,
};

/// How long an exchange may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Kinds of alarms about a peer.
pub(crate) const PROFILE_DIFFERS: &str = "profile_differs";
pub(crate) const GENESIS_DIFFERS: &str = "genesis_differs";
pub(crate) const MEMBERSHIP_DIFFERS: &str = "membership_differs";
pub(crate) const VERSION_DIFFERS: &str = "version_differs";
pub(crate) const CLUSTER_DIFFERS: &str = "cluster_differs";

/// One thing that a peer has otherwise than this site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PeerDifference {
    pub(crate) kind: &'static str,
    /// What they have and what we have, for people.
    pub(crate) what: String,
}

/// This site's settings, and what is known of the others'.
pub(crate) struct Introductions {
    config: Arc<Config>,
    state: Arc<AppliedState>,
    known: Mutex<BTreeMap<NodeId, Vec<PeerDifference>>>,
}

impl Introductions {
    pub(crate) fn new(config: Arc<Config>, state: Arc<AppliedState>) -> Self {
        Self { config, state, known: Mutex::default() }
    }

    /// Answers a peer's introduction with this site's.
    ///
    /// # Errors
    /// When the lane breaks, or the peer breaks the protocol.
    pub(crate) async fn serve(&self, from: NodeId, mut ends: LaneEnds) -> io::Result<()> {
        let received =
            timeout(PATIENCE, ends.inbound.receive()).await.map_err(io::Error::from)??;
        let frame = received.filter(|frame| frame.kind == peer::ABOUT);
        let frame = frame.ok_or_else(|| invalid("the lane holds no introduction"))?;
        self.record(from, &decode(&frame.body)?);
        ends.out.send(frame::encode_whole(peer::ABOUT, &self.own()).into()).await
    }

    /// Introduces this site to a peer, and records its answer.
    ///
    /// # Errors
    /// When it doesn't answer.
    pub(crate) async fn exchange(
        &self,
        transport: &dyn PeerTransport,
        to: NodeId,
    ) -> io::Result<()> {
        let exchange = async {
            let mut ends = transport.open(to, Lane::About).await?;
            ends.out.send(frame::encode_whole(peer::ABOUT, &self.own()).into()).await?;
            ends.inbound.receive().await
        };
        let frame = timeout(PATIENCE, exchange).await.map_err(io::Error::from)??;
        let frame = frame.filter(|frame| frame.kind == peer::ABOUT);
        let frame = frame.ok_or_else(|| invalid("the peer sent no introduction"))?;
        self.record(to, &decode(&frame.body)?);
        Ok(())
    }

    /// A peer can't be connected to; the reason may be a difference, too.
    pub(crate) fn record_refusal(&self, peer: NodeId, reason: &str) {
        let kind = if reason.contains("another protocol") {
            VERSION_DIFFERS
        } else if reason.contains("another cluster") {
            CLUSTER_DIFFERS
        } else {
            return;
        };
        self.report(peer, vec![PeerDifference { kind, what: reason.to_owned() }]);
    }

    /// What a peer has otherwise than this site.
    pub(crate) fn differences(&self, peer: NodeId) -> Vec<PeerDifference> {
        self.known().get(&peer).cloned().unwrap_or_default()
    }

    fn record(&self, from: NodeId, theirs: &PeerAbout) {
        self.report(from, compare(&self.own(), theirs));
    }

    fn report(&self, peer: NodeId, found: Vec<PeerDifference>) {
        let before = self.known().insert(peer, found.clone()).unwrap_or_default();
        for difference in found.iter().filter(|difference| !before.contains(difference)) {
            let PeerDifference { kind, what } = difference;
            tracing::error!(kind, peer, "a site differs from this one: {what}");
        }
        if found.is_empty() && !before.is_empty() {
            tracing::info!(peer, "a site that differed from this one has the same settings now");
        }
    }

    fn own(&self) -> PeerAbout {
        let ledgers = self.state.with_ledger(|ledger| ledger.genesis().cloned());
        let genesis = ledgers.unwrap_or_else(|| self.config.genesis.clone());
        let mut members: Vec<AboutMember> = (self.config.members.iter())
            .map(|member| AboutMember { node: member.node, site: short(&member.site) })
            .collect();
        members.sort_by_key(|member| member.node);
        PeerAbout {
            version: short(env!("CARGO_PKG_VERSION")),
            profile: short(self.config.profile.name()),
            genesis: genesis_hash(genesis),
            members,
        }
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<NodeId, Vec<PeerDifference>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why.to_owned())
}

fn decode(body: &[u8]) -> io::Result<PeerAbout> {
    codec::decode(body).map_err(|error| invalid(&error.to_string()))
}

fn short<const MAX: usize>(text: &str) -> Text<MAX> {
    Text::new(text).expect("names are checked by the configuration")
}

/// The hash of everything in genesis that is set by people; the first date is set at the bootstrap.
fn genesis_hash(mut genesis: Genesis) -> [u8; 32] {
    genesis.first_date = BusinessDate::FIRST;
    *blake3::hash(&codec::encode(&genesis)).as_bytes()
}

fn compare(own: &PeerAbout, theirs: &PeerAbout) -> Vec<PeerDifference> {
    let list = |about: &PeerAbout| {
        let members = about.members.iter();
        let members: Vec<String> =
            members.map(|member| format!("{} {}", member.node, member.site.as_str())).collect();
        members.join(", ")
    };
    let texts = [
        (VERSION_DIFFERS, "version", own.version.as_str().into(), theirs.version.as_str().into()),
        (PROFILE_DIFFERS, "profile", own.profile.as_str().into(), theirs.profile.as_str().into()),
        (MEMBERSHIP_DIFFERS, "[[members]]", list(own), list(theirs)),
        (GENESIS_DIFFERS, "[genesis]", hex(own.genesis), hex(theirs.genesis)),
    ];
    let differing = texts.into_iter().filter(|(_, _, own, theirs)| own != theirs);
    differing
        .map(|(kind, name, own, theirs): (_, _, String, String)| PeerDifference {
            kind,
            what: format!("its {name} is {theirs}, this site's is {own}"),
        })
        .collect()
}

/// The first bytes of a hash: enough to tell two apart.
fn hex(hash: [u8; 32]) -> String {
    hash[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about() -> PeerAbout {
        PeerAbout {
            version: short("1"),
            profile: short("metro"),
            genesis: [1; 32],
            members: vec![AboutMember { node: 1, site: short("pangyo") }],
        }
    }

    #[test]
    fn every_difference_is_named_with_both_values() {
        assert_eq!(compare(&about(), &about()), []);
        type Change = fn(&mut PeerAbout);
        let changed: [(&str, &str, Change); 4] = [
            (VERSION_DIFFERS, "version is 2, this site's is 1", |it| it.version = short("2")),
            (PROFILE_DIFFERS, "profile is world, this site's is metro", |it| {
                it.profile = short("world");
            }),
            (MEMBERSHIP_DIFFERS, "1 pangyo, 2 busan, this site's is 1 pangyo", |it| {
                it.members.push(AboutMember { node: 2, site: short("busan") });
            }),
            (GENESIS_DIFFERS, "[genesis] is 0202020202020202", |it| it.genesis = [2; 32]),
        ];
        for (kind, what, change) in changed {
            let mut theirs = about();
            change(&mut theirs);
            let found = compare(&about(), &theirs);
            assert_eq!(found.len(), 1, "{found:?}");
            assert_eq!(found[0].kind, kind);
            assert!(found[0].what.contains(what), "{found:?}");
        }
    }
}
