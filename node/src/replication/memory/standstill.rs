//! Why a cluster whose sites all answer decides nothing: too few of their copies count. It changes
//! nothing.

use evenkeel_wire::introduction::CopyStanding;
use tokio::time::Instant;

use super::peer_memory::{PeerMemory, REACHABLE_WITHIN};

impl PeerMemory {
    /// Why nothing can be decided although enough sites answer: too few of their copies count.
    /// Names the disks that would help.
    pub(super) fn explain_standstill(&self) -> Option<String> {
        let now = Instant::now();
        let own = (self.parts.node, self.parts.empty_copies.standing());
        let state = self.lock_state();
        let recent = state
            .heard
            .iter()
            .filter(|(_, (at, _))| now.saturating_duration_since(*at) <= REACHABLE_WITHIN);
        let copies: Vec<_> =
            recent.map(|(node, (_, standing))| (*node, *standing)).chain([own]).collect();
        let members = self.parts.others.len() + 1;
        let majority = members / 2 + 1;
        let counting = copies.iter().filter(|(_, copy)| *copy == CopyStanding::Counts).count();
        let founding = copies.iter().all(|(_, copy)| *copy == CopyStanding::BeganEmpty);
        if counting >= majority || copies.len() < majority || founding {
            return None;
        }
        let lost = copies.iter().filter(|(_, copy)| *copy != CopyStanding::Counts);
        let described: Vec<String> = lost
            .map(|(node, copy)| {
                let how = match copy {
                    CopyStanding::BeganEmpty => "began empty",
                    _ => "was rolled back",
                };
                let had = state.members.get(node).and_then(|member| member.had);
                let had = had.map_or(String::new(), |(term, position)| {
                    format!(", its disk had position {position} of term {term}")
                });
                format!("{} ({how}{had})", self.site(*node))
            })
            .collect();
        Some(format!(
            "the cluster stands still: {counting} of {} copies count and {majority} are needed. The disk that \
             was lost or rolled back at any of these sites would help, as it was: {}",
            self.parts.others.len() + 1,
            described.join(", ")
        ))
    }
}
