//! The first frames on a control or append lane: both ends introduce themselves. Nothing else
//! crosses a lane before.

use std::{io, sync::Arc};

use evenkeel_storage::memory::Life;
use evenkeel_wire::{
    codec, frame,
    id::NodeId,
    introduction::{
        CommittedTip, CopyStanding, INTRODUCE, INTRODUCED, Incident, IncidentKind, Introduced,
        Introduction, IntroductionVerdict, SAME_HISTORY,
    },
    peer::PeerLogId,
};
use tokio::time::{Instant, timeout};

use super::{
    judge::{Judgement, TipComparison},
    peer_memory::{PeerMemory, text},
    twins::{LinkStatus, ProcessKind},
};
use crate::{limits::INTRODUCTION_PATIENCE, replication::peers::transport::LaneEnds};

fn refused(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionRefused, why.to_owned())
}

fn invalid(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// Two committed histories: the record of each side at a position where they differ, or its newest
/// committed one after that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HistoryConflict {
    own: PeerLogId,
    theirs: PeerLogId,
}

impl PeerMemory {
    /// Introduces this node on a lane that it has opened, and hears what the other end remembers.
    ///
    /// # Errors
    /// When the other end refuses this process or must not be listened to.
    pub async fn introduce(&self, to: NodeId, ends: &mut LaneEnds) -> io::Result<()> {
        let own = self.introduction_for(to, self.parts.empty_copies.standing())?;
        ends.out.send(frame::encode_whole(INTRODUCE, &own).into()).await?;
        let reply: Introduced = receive(ends, INTRODUCED).await?;
        self.check_process(to, &reply.own, ends.link.as_ref())?;
        if let IntroductionVerdict::Twin { other, yours } = &reply.verdict {
            let incident =
                self.twin(self.parts.node, own.life.nonce, other.as_str(), yours.as_str());
            self.end_as_twin(to, incident)?;
            return Err(refused("another process of this node is connected"));
        }
        // Before the memories: in two histories each side lacks what the other remembers.
        let told = match (&reply.verdict, own.committed) {
            (IntroductionVerdict::Differs(theirs), Some(tip)) => {
                Some(HistoryConflict { own: tip.id, theirs: *theirs })
            }
            _ => None,
        };
        if let Some(conflict) = told.or(self.find_conflict(&reply.own)?) {
            return Err(self.settle_conflict(to, &reply.own, conflict)?);
        }
        self.hear_standing(to, reply.own.standing);
        if !self.remember_life(to, reply.own.life, reply.own.standing).await? {
            return Err(refused("the peer's start number isn't above the one remembered"));
        }
        self.act_on(to, self.judge_own(&reply.own)?).await?;
        if reply.verdict != IntroductionVerdict::Known {
            return Err(refused("introduced as a start that is past"));
        }
        ends.out.send(frame::encode_whole(SAME_HISTORY, &()).into()).await
    }

    /// Answers the introduction of a peer that has opened a lane. What the peer remembers is
    /// believed only when it has found no other difference, too.
    ///
    /// # Errors
    /// When the peer must not be listened to, or the lane doesn't begin with an introduction.
    pub async fn answer_introduction(&self, from: NodeId, ends: &mut LaneEnds) -> io::Result<()> {
        let theirs: Introduction =
            timeout(INTRODUCTION_PATIENCE, receive(ends, INTRODUCE)).await??;
        let conflict = self.find_conflict(&theirs)?;
        let verdict = match conflict {
            Some(conflict) => IntroductionVerdict::Differs(conflict.own),
            None => self.judge_newcomer(from, &theirs, ends.link.as_ref()).await?,
        };
        let known = verdict == IntroductionVerdict::Known;
        let judgement = self.judge_own(&theirs)?;
        let standing = match (self.parts.empty_copies.standing(), judgement) {
            (CopyStanding::Counts, Judgement::NotAbove(_) | Judgement::Lacks(_)) => {
                CopyStanding::Forgot
            }
            (standing, _) => standing,
        };
        let answer = Introduced { own: self.introduction_for(from, standing)?, verdict };
        ends.out.send(frame::encode_whole(INTRODUCED, &answer).into()).await?;
        if let Some(conflict) = conflict {
            return Err(self.settle_conflict(from, &theirs, conflict)?);
        }
        if !known {
            return Err(refused("the peer must not be listened to"));
        }
        let () = timeout(INTRODUCTION_PATIENCE, receive(ends, SAME_HISTORY)).await??;
        self.hear_standing(from, theirs.standing);
        self.act_on(from, judgement).await
    }

    fn introduction_for(&self, peer: NodeId, standing: CopyStanding) -> io::Result<Introduction> {
        let journal = &self.parts.journal;
        let durable = match journal.durable_position() {
            Some(position) => journal.tip_at(position)?,
            None => None,
        };
        let committed = self.own_records().committed()?;
        let id = |tip: evenkeel_storage::journal::Tip| PeerLogId {
            term: tip.term,
            position: tip.position,
        };
        Ok(Introduction {
            life: self.own_life(),
            standing,
            in_majority: self.is_settled(),
            last: durable.map(id),
            committed: committed.map(|tip| CommittedTip { id: id(tip), link: tip.link.0 }),
            remembered: self.remembered_of(peer)?,
        })
    }

    /// The accepting side's verdict on the process at the other end.
    async fn judge_newcomer(
        &self,
        from: NodeId,
        theirs: &Introduction,
        link: Option<&Arc<dyn LinkStatus>>,
    ) -> io::Result<IntroductionVerdict> {
        match self.check_process(from, theirs, link) {
            Ok(()) => {}
            Err(TwinFound::Undecided) => {
                return Err(refused("an earlier process of this node may still be connected"));
            }
            Err(TwinFound::Twin { other, yours }) => {
                return Ok(IntroductionVerdict::Twin { other: text(&other), yours: text(&yours) });
            }
        }
        let is_above = self.remember_life(from, theirs.life, theirs.standing).await?;
        Ok(if is_above { IntroductionVerdict::Known } else { IntroductionVerdict::NotAbove })
    }

    /// Whether another process of the same node lives.
    fn check_process(
        &self,
        peer: NodeId,
        theirs: &Introduction,
        link: Option<&Arc<dyn LinkStatus>>,
    ) -> Result<(), TwinFound> {
        let Some(link) = link else { return Ok(()) };
        let nonce = theirs.life.nonce;
        let kind = self.lock_state().processes.judge(peer, nonce, Instant::now());
        match kind {
            ProcessKind::Only => {
                self.lock_state().processes.add(peer, nonce, link);
                Ok(())
            }
            ProcessKind::Undecided => Err(TwinFound::Undecided),
            ProcessKind::Twin(other) => {
                let yours = link.address();
                self.report(self.twin(peer, nonce, &other, &yours));
                Err(TwinFound::Twin { other, yours })
            }
        }
    }

    fn twin(&self, node: NodeId, nonce: u64, other: &str, later: &str) -> Incident {
        let site = self.site(node);
        Incident {
            number: nonce,
            kind: IncidentKind::Twin,
            node,
            what: text(&format!(
                "two processes of {site} run: one at {other}, and later one at {later}, which ends"
            )),
        }
    }

    /// Judges this node's own copy by what the peer remembers of it.
    fn judge_own(&self, theirs: &Introduction) -> io::Result<Judgement> {
        let own = self.own_life();
        let life = Life { start: own.start, nonce: own.nonce };
        self.own_records().judge(life, &theirs.remembered)
    }

    /// Compares the committed histories, if this node's reaches at least as far as the peer's.
    fn find_conflict(&self, theirs: &Introduction) -> io::Result<Option<HistoryConflict>> {
        let Some(tip) = &theirs.committed else { return Ok(None) };
        Ok(match self.own_records().compare(Some(tip))? {
            TipComparison::Differ(own) => Some(HistoryConflict { own, theirs: tip.id }),
            TipComparison::One => None,
        })
    }

    /// Two histories: the side that isn't part of a majority ends when it meets the one that is.
    /// While no side is, both wait. Returns why the lane ends.
    fn settle_conflict(
        &self,
        peer: NodeId,
        theirs: &Introduction,
        conflict: HistoryConflict,
    ) -> io::Result<io::Error> {
        let is_settled = self.is_settled();
        if theirs.in_majority && !is_settled {
            self.end_as_other_history(peer, conflict.theirs)?;
        } else if is_settled || !self.is_young() {
            let nonce = theirs.life.nonce;
            self.report(self.differing(peer, nonce, conflict.theirs, conflict.own));
        }
        Ok(refused("the committed histories differ"))
    }

    /// The others committed another record where this node has a committed one: this node ends and
    /// keeps its records.
    ///
    /// # Errors
    /// When the journal can't be read.
    pub fn end_as_other_history(&self, peer: NodeId, theirs: PeerLogId) -> io::Result<()> {
        let committed = self.own_records().committed()?;
        let own = committed.map(|tip| PeerLogId { term: tip.term, position: tip.position });
        let own = own.unwrap_or(theirs);
        let nonce = self.own_life().nonce;
        let incident = self.differing(self.parts.node, nonce, own, theirs);
        let why = format!(
            "{}; {} went on without them. This copy keeps them, and nothing was removed: compare the folders with \
             `evenkeel verify DATA --against DATA`, see OPERATIONS",
            incident.what,
            self.site(peer)
        );
        self.end_for_good(incident, why);
        Ok(())
    }

    /// A node has committed records that the others don't have.
    fn differing(&self, node: NodeId, nonce: u64, its: PeerLogId, others: PeerLogId) -> Incident {
        let site = self.site(node);
        Incident {
            number: nonce,
            kind: IncidentKind::HistoryDiffers,
            node,
            what: text(&format!(
                "{site} has committed records that the others don't have: it committed up to position {} of term {}, \
                 the others have term {} at position {}",
                its.position, its.term, others.term, others.position
            )),
        }
    }
}

enum TwinFound {
    Undecided,
    Twin { other: String, yours: String },
}

impl From<TwinFound> for io::Error {
    fn from(_: TwinFound) -> Self {
        refused("another process of this node may be connected")
    }
}

async fn receive<T: codec::WireDecode>(ends: &mut LaneEnds, kind: u8) -> io::Result<T> {
    match ends.inbound.receive().await? {
        Some(frame) if frame.kind == kind => codec::decode(&frame.body).map_err(invalid),
        Some(frame) => Err(invalid(format!("a lane began with a frame of type {}", frame.kind))),
        None => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the peer closed the lane")),
    }
}
