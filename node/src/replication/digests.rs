//! Compares the states of all sites: the primary asks its peers for their digests, and a site that
//! differs from a majority stops.
//!
//! The chain proves that the copies have the same entries; equal digests prove that applying them
//! had the same effect. A difference is a bug or broken memory. It's never repaired here, only
//! reported and contained.

use std::{sync::Arc, time::Duration};

use evenkeel_wire::{
    codec, frame,
    id::NodeId,
    peer::{self, DigestNotice, Lane},
};
use tokio::sync::watch;

use super::{
    memory::PeerMemory,
    peers::{lane_client::LaneClient, transport::PeerTransport},
};
use crate::{metrics::Metrics, road::Lead, state::AppliedState};

/// How often digests are compared.
const PACE: Duration = Duration::from_secs(2);
/// How long a peer may take to answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// The answer of a peer without a digest of that position: no state hashes to it.
const NO_DIGEST: [u8; 32] = [0; 32];

/// The primary's side.
pub struct DigestComparison {
    pub transport: Arc<dyn PeerTransport>,
    pub memory: Arc<PeerMemory>,
    pub state: Arc<AppliedState>,
    pub lead: watch::Receiver<Lead>,
    pub others: Vec<NodeId>,
    pub metrics: Arc<Metrics>,
}

impl DigestComparison {
    /// Runs until the engine stops.
    pub async fn run(self) {
        let mut clients: Vec<LaneClient> = self
            .others
            .iter()
            .map(|node| {
                let memory = self.memory.clone();
                LaneClient::new(self.transport.clone(), *node, Lane::Control, memory)
            })
            .collect();
        let mut pace = tokio::time::interval(PACE);
        pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut compared = None;
        loop {
            pace.tick().await;
            if !matches!(*self.lead.borrow(), Lead::Here(_)) {
                continue;
            }
            // The last but one: followers apply the newest entries a moment later.
            let digests = self.state.digests();
            let Some((position, digest)) = digests.iter().rev().nth(1).copied() else { continue };
            if compared != Some(position) {
                compared = Some(position);
                self.compare(&mut clients, position, digest).await;
            }
        }
    }

    async fn compare(&self, clients: &mut [LaneClient], position: u64, digest: [u8; 32]) {
        let notice = DigestNotice { position, link: [0; 32], digest };
        let mut answers = Vec::new();
        for client in &mut *clients {
            let question = frame::encode_whole(peer::DIGEST, &notice);
            let body = client.request_reply(question, peer::DIGEST, PATIENCE).await.ok();
            let theirs = body.and_then(|body| codec::decode::<DigestNotice>(&body).ok());
            answers.push(theirs.map_or(NO_DIGEST, |theirs| theirs.digest));
        }
        let verdict = judge(&digest, &answers);
        for at in &verdict.differing {
            self.metrics.count_digest_mismatch();
            tracing::error!(
                kind = "digest_differs",
                position,
                peer = self.others[*at],
                "a site's state differs from this one's although their journals are the same: one of them is broken"
            );
        }
        match verdict.broken {
            BrokenCopy::Unknown => {}
            BrokenCopy::This => self.state.fail_as_broken(&format!(
                "at position {position} this node's state differs from a majority's: this copy is broken"
            )),
            BrokenCopy::Differing => {
                for at in verdict.differing {
                    let agreed = frame::encode_whole(peer::DIGEST_AGREED, &notice);
                    let _it_may_be_gone =
                        clients[at].request_reply(agreed, peer::DIGEST, PATIENCE).await;
                }
            }
        }
    }
}

/// The result of comparing all sites' digests at one position.
#[derive(Debug, PartialEq, Eq)]
struct DigestVerdict {
    /// The other sites that differ from this one, by their index.
    differing: Vec<usize>,
    broken: BrokenCopy,
}

#[derive(Debug, PartialEq, Eq)]
enum BrokenCopy {
    /// No majority has the same digest.
    Unknown,
    /// The sites that differ: a majority has this site's digest.
    Differing,
    This,
}

/// Compares this site's digest with the others'. A site without one, or without an answer, counts
/// for neither side.
fn judge(own: &[u8; 32], others: &[[u8; 32]]) -> DigestVerdict {
    let members = others.len() + 1;
    let majority = members / 2 + 1;
    let agreeing = 1 + others.iter().filter(|digest| *digest == own).count();
    let differs =
        |(at, digest): (usize, &[u8; 32])| (digest != own && *digest != NO_DIGEST).then_some(at);
    let differing: Vec<usize> = others.iter().enumerate().filter_map(differs).collect();
    let broken = if agreeing >= majority {
        BrokenCopy::Differing
    } else if differing.len() >= majority {
        BrokenCopy::This
    } else {
        BrokenCopy::Unknown
    };
    DigestVerdict { differing, broken }
}

/// A peer's side: returns its own digest of that position. `agreed`: a majority has the digest in
/// the notice.
pub fn answer(state: &AppliedState, notice: &DigestNotice, agreed: bool) -> DigestNotice {
    let own = state.digests().into_iter().find(|(position, _)| *position == notice.position);
    let digest = own.map_or(NO_DIGEST, |(_, digest)| digest);
    if agreed && digest != NO_DIGEST && digest != notice.digest {
        state.fail_as_broken(&format!(
            "at position {} this node's state differs from a majority's: this copy is broken; its journal is \
             what the others have, so set the balances' folder aside and start again",
            notice.position
        ));
    }
    DigestNotice { position: notice.position, link: notice.link, digest }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use evenkeel_storage::{
        disk::{Disk, MemoryDisk},
        journal::{self, JournalOptions, NewRecord, WriterStep, index::Indexes},
    };
    use evenkeel_wire::{
        amount::Asset,
        command::Command,
        entry::EntryBuilder,
        genesis::Genesis,
        id::{ClusterId, OPERATOR_KEY},
        transfer::Text,
    };

    use super::*;
    use crate::{history::History, history::record_kind, replay::recovery};
    use evenkeel_ledger::{Ledger, MemoryAdvice};

    const OWN: [u8; 32] = [1; 32];
    const OTHER: [u8; 32] = [2; 32];
    const THIRD: [u8; 32] = [3; 32];

    #[test]
    fn only_a_majority_decides_which_copy_is_broken() {
        for (others, differing, broken) in [
            (&[OWN, OWN][..], &[][..], BrokenCopy::Differing),
            (&[OWN, OTHER], &[1], BrokenCopy::Differing),
            (&[OTHER, OWN], &[0], BrokenCopy::Differing),
            (&[OTHER, OTHER], &[0, 1], BrokenCopy::This),
            // Two that differ from this one and from each other: no site can be trusted.
            (&[OTHER, THIRD], &[0, 1], BrokenCopy::This),
            (&[OTHER, NO_DIGEST], &[0], BrokenCopy::Unknown),
            (&[NO_DIGEST, NO_DIGEST], &[], BrokenCopy::Unknown),
            (&[OWN, NO_DIGEST], &[], BrokenCopy::Differing),
            (&[], &[], BrokenCopy::Differing),
            (&[OTHER], &[0], BrokenCopy::Unknown),
            (&[OWN, OWN, OTHER, OTHER], &[2, 3], BrokenCopy::Differing),
            (&[OWN, OTHER, OTHER, OTHER], &[1, 2, 3], BrokenCopy::This),
            (&[OWN, OTHER, OTHER, NO_DIGEST], &[1, 2], BrokenCopy::Unknown),
        ] {
            let verdict = DigestVerdict { differing: differing.to_vec(), broken };
            assert_eq!(judge(&OWN, others), verdict, "{others:?}");
        }
    }

    /// A ledger with its genesis, and a digest of it at position 0.
    fn state() -> Arc<AppliedState> {
        let disk = MemoryDisk::new(1);
        disk.create_folder(Path::new("/data")).unwrap();
        let disk: Arc<dyn Disk> = Arc::new(disk);
        let cluster = ClusterId([7; 16]);
        let options = JournalOptions::new(cluster.0);
        let (journal, mut writer, _) =
            journal::open(disk.clone(), Path::new("/data"), options).unwrap();
        let genesis = Genesis {
            cluster,
            assets: vec![Asset::parse("KRW").unwrap()],
            wallet_max_balance: 2_000_000,
            id_horizon_ms: 1_000,
            id_tolerance_ms: 1_000,
            time_zone: Text::new("Asia/Seoul").unwrap(),
            operator_key: [3; 32],
            first_date: evenkeel_wire::day::BusinessDate::FIRST,
        };
        let mut entry = EntryBuilder::new();
        entry.push(OPERATOR_KEY, false, 1, &codec::encode(&Command::Genesis(Box::new(genesis))));
        let payload = entry.finish().into();
        let record =
            NewRecord { position: 0, term: 1, time: 1, kind: record_kind::COMMANDS, payload };
        journal.append(vec![record], Box::new(|_| ())).unwrap();
        assert_eq!(writer.step(1), WriterStep::Worked);
        let indexes = Arc::new(Indexes::open_all(disk, &journal.folder(), &[]));
        let history = Arc::new(History::new(journal.clone(), indexes));
        let state =
            Arc::new(AppliedState::new(Ledger::new(MemoryAdvice::NONE), history, journal.clone()));
        recovery::apply_record(&state, &journal.read(0, 1, 1).unwrap()[0]).unwrap();
        state.digest_now();
        state
    }

    #[test]
    fn a_site_that_differs_from_a_majority_stops_and_reports_it() {
        let state = state();
        let (position, own) = state.digests()[0];
        let notice = |position, digest| DigestNotice { position, link: [0; 32], digest };
        let asked = |notice, agreed| answer(&state, &notice, agreed).digest;
        assert_eq!(asked(notice(position, own), true), own);
        assert_eq!(asked(notice(position, OTHER), false), own, "one site isn't a majority");
        assert_eq!(
            asked(notice(position + 1, OTHER), true),
            NO_DIGEST,
            "it has none of that position"
        );
        assert_eq!(*state.watch_failure().borrow(), None);
        assert_eq!(asked(notice(position, OTHER), true), own);
        let why = state.watch_failure().borrow().clone().unwrap();
        assert!(why.contains("differs from a majority's") && why.contains("balances"), "{why}");
        assert!(state.is_broken(), "a supervisor must not simply start it again");
    }
}
