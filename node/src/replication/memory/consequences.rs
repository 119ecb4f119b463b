//! What follows for this node when its copy isn't what it was: the copy counts for nothing until it
//! has caught up, or the process ends. It never changes a record.

use std::{io, sync::atomic::Ordering, time::Duration};

use evenkeel_wire::{
    id::NodeId,
    introduction::{Incident, IncidentKind},
};
use tokio::time::Instant;

use super::{
    judge::Judgement,
    peer_memory::{PeerMemory, text},
};

/// How long the other sites have to hear of what ends this node.
const LAST_WORDS: Duration = Duration::from_millis(1_500);

impl PeerMemory {
    /// Acts on what a peer's memory says of this copy.
    ///
    /// # Errors
    /// When the copy's new standing can't be written.
    pub(super) async fn act_on(&self, peer: NodeId, found: Judgement) -> io::Result<()> {
        match found {
            Judgement::Whole => Ok(()),
            Judgement::NotAbove(known) => {
                let own = self.own_life().start;
                let from = self.site(peer);
                self.doubt(&format!(
                    "{from} knows of its start {}, this is start {own}",
                    known.start
                ))?;
                self.raise_above(known.start).await
            }
            Judgement::Lacks(id) => {
                let from = self.site(peer);
                self.doubt(&format!(
                    "{from} remembers that it had position {} of term {}",
                    id.position, id.term
                ))
            }
        }
    }

    /// This copy has forgotten something: it counts for nothing until it has caught up.
    fn doubt(&self, why: &str) -> io::Result<()> {
        let nonce = self.lock_state().own.nonce;
        if !self.parts.empty_copies.doubt(nonce)? {
            return Ok(());
        }
        self.parts.freshness.forget_reports();
        if self.parts.majority.led_term().is_some() {
            self.parts.gate.fall_silent(Instant::now());
        }
        let last = self.parts.journal.newest_tip().map(|tip| tip.position);
        self.report_rolled_back(self.parts.node, nonce, why, last);
        Ok(())
    }

    /// Reports that a copy was rolled back.
    pub(super) fn report_rolled_back(
        &self,
        node: NodeId,
        nonce: u64,
        why: &str,
        last: Option<u64>,
    ) {
        let ends = last.map_or("has no record".into(), |last| format!("ends at position {last}"));
        let site = self.site(node);
        self.report(
            Incident {
                number: nonce,
                kind: IncidentKind::RolledBack,
                node,
                what: text(&format!(
                    "the copy of {site} was rolled back: {why}; its journal {ends}. It counts for nothing until \
                     it has caught up"
                )),
            },
        );
    }

    async fn raise_above(&self, start: u64) -> io::Result<()> {
        {
            let mut state = self.lock_state();
            if state.own.start > start {
                return Ok(());
            }
            state.own.start = start.saturating_add(1);
        }
        self.save().await
    }

    /// This process must not go on: the others hear of it, then it ends.
    pub(super) fn end_for_good(&self, incident: Incident, why: String) {
        self.parts.empty_copies.distrust();
        self.report(incident);
        if self.ending.swap(true, Ordering::AcqRel) {
            return;
        }
        let state = self.parts.state.clone();
        tokio::spawn(async move {
            tokio::time::sleep(LAST_WORDS).await;
            state.fail_as_broken(&why);
        });
    }

    /// Another process of this node is connected to a peer: this one came later.
    ///
    /// # Errors
    /// When the copy's new standing can't be written.
    pub(super) fn end_as_twin(&self, peer: NodeId, incident: Incident) -> io::Result<()> {
        let nonce = self.lock_state().own.nonce;
        self.parts.empty_copies.doubt(nonce)?;
        let why = format!(
            "{}; {} refused this process: stop the one that shouldn't run, and never start a copy of a data \
             folder that is in use",
            incident.what,
            self.site(peer)
        );
        self.end_for_good(incident, why);
        Ok(())
    }
}
