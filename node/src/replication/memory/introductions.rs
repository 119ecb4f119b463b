//! The first frames on a control or append lane: both ends introduce themselves. Nothing else
//! crosses a lane before.

use std::{io, sync::Arc};

use evenkeel_storage::memory::Life;
use evenkeel_wire::{
    codec, frame,
    id::NodeId,
    introduction::{
        CommittedTip, INTRODUCE, INTRODUCED, Incident, IncidentKind, Introduced, Introduction,
        IntroductionVerdict,
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

impl PeerMemory {
    /// Introduces this node on a lane that it has opened, and hears what the other end remembers.
    ///
    /// # Errors
    /// When the other end refuses this process or must not be listened to.
    pub async fn introduce(&self, to: NodeId, ends: &mut LaneEnds) -> io::Result<()> {
        let own = self.introduction_for(to)?;
        ends.out.send(frame::encode_whole(INTRODUCE, &own).into()).await?;
        let reply: Introduced = receive(ends, INTRODUCED).await?;
        self.check_process(to, &reply.own, ends.link.as_ref())?;
        if !self.remember_life(to, reply.own.life, reply.own.standing).await? {
            return Err(refused("the peer's start number isn't above the one remembered"));
        }
        self.judge_own(to, &reply.own).await?;
        match reply.verdict {
            IntroductionVerdict::Known => Ok(()),
            IntroductionVerdict::NotAbove => Err(refused("introduced as a start that is past")),
            IntroductionVerdict::Twin { other, yours } => {
                let incident =
                    self.twin(self.parts.node, own.life.nonce, other.as_str(), yours.as_str());
                self.end_as_twin(to, incident)?;
                Err(refused("another process of this node is connected"))
            }
            IntroductionVerdict::Differs(theirs) => {
                let own = self.parts.journal.tip_at(theirs.position)?;
                if own.is_none_or(|own| own.term < theirs.term) || !self.is_settled() {
                    self.end_as_older_history(to, theirs)?;
                }
                Err(refused("the others went on without this node's committed records"))
            }
        }
    }

    /// Answers the introduction of a peer that has opened a lane.
    ///
    /// # Errors
    /// When the peer must not be listened to, or the lane doesn't begin with an introduction.
    pub async fn answer_introduction(&self, from: NodeId, ends: &mut LaneEnds) -> io::Result<()> {
        let theirs: Introduction =
            timeout(INTRODUCTION_PATIENCE, receive(ends, INTRODUCE)).await??;
        let verdict = self.judge_newcomer(from, &theirs, ends.link.as_ref()).await?;
        let differs = self.judge_own(from, &theirs).await?;
        let verdict = match (verdict, differs) {
            (IntroductionVerdict::Known, Some(own)) => IntroductionVerdict::Differs(own),
            (verdict, _) => verdict,
        };
        let known = verdict == IntroductionVerdict::Known;
        let answer = Introduced { own: self.introduction_for(from)?, verdict };
        ends.out.send(frame::encode_whole(INTRODUCED, &answer).into()).await?;
        if known { Ok(()) } else { Err(refused("the peer must not be listened to")) }
    }

    fn introduction_for(&self, peer: NodeId) -> io::Result<Introduction> {
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
            standing: self.parts.empty_copies.standing(),
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
        let before = self.remembered_of(from)?;
        if self.remember_life(from, theirs.life, theirs.standing).await? {
            self.say_if_behind(from, theirs, before.had);
            return Ok(IntroductionVerdict::Known);
        }
        if let Some(known) = before.life {
            let why = format!(
                "{} knows of its start {}, this is start {}",
                self.site(self.parts.node),
                known.start,
                theirs.life.start
            );
            self.say_if_counted(from, theirs, &why);
        }
        Ok(IntroductionVerdict::NotAbove)
    }

    fn say_if_behind(&self, from: NodeId, theirs: &Introduction, had: Option<PeerLogId>) {
        let Some(had) = had.filter(|had| theirs.last.is_none_or(|l| l.position < had.position))
        else {
            return;
        };
        // Its committed tip contradicts it: two histories, which are reported as such.
        if theirs.committed.is_some_and(|tip| tip.id.term > had.term) {
            return;
        }
        let own = self.site(self.parts.node);
        let why =
            format!("{own} remembers that it had position {} of term {}", had.position, had.term);
        self.say_if_counted(from, theirs, &why);
    }

    fn say_if_counted(&self, from: NodeId, theirs: &Introduction, why: &str) {
        if theirs.standing == evenkeel_wire::introduction::CopyStanding::Counts {
            let last = theirs.last.map(|last| last.position);
            self.report_rolled_back(from, theirs.life.nonce, why, last);
        }
    }

    /// Whether another process of the same node lives.
    fn check_process(
        &self,
        peer: NodeId,
        theirs: &Introduction,
        link: Option<&Arc<dyn LinkStatus>>,
    ) -> Result<(), TwinFound> {
        self.hear_standing(peer, theirs.standing);
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

    /// Judges this node's own copy by the other's introduction. Returns this node's record if the
    /// other's committed history is older than this one.
    async fn judge_own(
        &self,
        peer: NodeId,
        theirs: &Introduction,
    ) -> io::Result<Option<PeerLogId>> {
        let own = self.own_life();
        let life = Life { start: own.start, nonce: own.nonce };
        let found: Judgement = self.own_records().judge(life, &theirs.remembered)?;
        self.act_on(peer, found).await?;
        if self.is_ending() {
            return Ok(None);
        }
        let TipComparison::Differ(record) =
            self.own_records().compare(theirs.committed.as_ref())?
        else {
            return Ok(None);
        };
        let Some(tip) = theirs.committed.map(|tip| tip.id) else { return Ok(None) };
        let is_settled = self.is_settled();
        if record.term == tip.term && !is_settled && self.is_young() {
            // The site that finds a majority first goes on.
            return Err(refused("the committed histories differ"));
        }
        if record.term < tip.term || (record.term == tip.term && !is_settled) {
            self.end_as_older_history(peer, tip)?;
            return Err(refused("the others went on without this node's committed records"));
        }
        self.report(self.differing(peer, theirs.life.nonce, tip, record));
        Ok(Some(record))
    }

    /// The others committed another record where this node has a committed one of an older term.
    fn end_as_older_history(&self, peer: NodeId, theirs: PeerLogId) -> io::Result<()> {
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

    fn differing(&self, node: NodeId, nonce: u64, older: PeerLogId, newer: PeerLogId) -> Incident {
        let site = self.site(node);
        Incident {
            number: nonce,
            kind: IncidentKind::HistoryDiffers,
            node,
            what: text(&format!(
                "{site} has committed records that the others don't have: it committed up to position {} of term {}, \
                 the others have term {} at position {}",
                older.position, older.term, newer.term, newer.position
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
