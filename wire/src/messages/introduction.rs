//! How two sites introduce themselves on a control or append lane, and what the primary has every
//! member remember: by this a copy that was rolled back, or a clone of a copy, is found.
//!
//! ```text
//! INTRODUCE    bincode of Introduction: the first frame of the side that opened the lane
//! INTRODUCED   bincode of Introduced: its answer, before anything else
//! SAME_HISTORY no body: the opening side found no difference; the lane goes on
//! MEMORY       bincode of MemoryNotice, once a second and whenever it changes;
//!              answered with MEMORY_KEPT
//! MEMORY_KEPT  bincode of a list of Incident: what the member has found
//! ```

use bincode::{Decode, Encode};

use super::peer::PeerLogId;
use crate::{id::NodeId, transfer::Text};

/// Frame type: [`Introduction`].
pub const INTRODUCE: u8 = 140;
/// Frame type: [`Introduced`].
pub const INTRODUCED: u8 = 141;
/// Frame type: the side that opened the lane has compared both introductions. Until it comes the
/// accepting side believes nothing of what the other remembers. It has no body.
pub const SAME_HISTORY: u8 = 145;
/// Frame type: [`MemoryNotice`].
pub const MEMORY: u8 = 142;
/// Frame type: a list of [`Incident`].
pub const MEMORY_KEPT: u8 = 143;

/// One life of a node: from a start of its process to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct PeerLife {
    /// Counts the node's starts, from 1. A copy that finds itself behind raises it.
    pub start: u64,
    /// Drawn at the start: which process this is.
    pub nonce: u64,
}

/// The kind of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum CopyStanding {
    /// It counts.
    Counts,
    /// It began empty and hasn't caught up.
    BeganEmpty,
    /// It has forgotten something that others remember, and hasn't caught up.
    Forgot,
}

/// The newest record that a node knows to be committed, and its link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct CommittedTip {
    /// The record.
    pub id: PeerLogId,
    /// Its link.
    pub link: [u8; 32],
}

/// What the sender knows of the receiver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Remembered {
    /// The newest life that it was introduced to.
    pub life: Option<PeerLife>,
    /// The newest record that the receiver acknowledged and that was committed.
    pub had: Option<PeerLogId>,
    /// From a primary: its term, and the newest record that it believes the receiver to hold.
    pub counted_on: Option<(u64, PeerLogId)>,
}

/// A node introduces itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Introduction {
    /// Its life.
    pub life: PeerLife,
    /// The kind of its copy. In an answer: what it will be if the committed histories are the same.
    pub standing: CopyStanding,
    /// Whether it's part of a majority: it led one or followed its primary a moment ago.
    pub in_majority: bool,
    /// Its newest durable record.
    pub last: Option<PeerLogId>,
    /// Its newest committed record.
    pub committed: Option<CommittedTip>,
    /// What it knows of the receiver.
    pub remembered: Remembered,
}

/// What the accepting side of a lane makes of the other.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum IntroductionVerdict {
    /// The lane goes on.
    Known,
    /// Its start number isn't above the one remembered: it must raise it and introduce itself
    /// again.
    NotAbove,
    /// Another process of the same node is connected. The addresses of both.
    Twin {
        /// The other process's address.
        other: Text<64>,
        /// The receiver's address, as seen here.
        yours: Text<64>,
    },
    /// The committed histories differ: the sender has this record at the position of the receiver's
    /// newest committed one.
    Differs(PeerLogId),
}

/// The answer to an [`Introduction`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Introduced {
    /// The accepting node introduces itself.
    pub own: Introduction,
    /// Its verdict.
    pub verdict: IntroductionVerdict,
}

/// What a member is known to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct MemberHad {
    /// The member.
    pub node: NodeId,
    /// The newest record that it acknowledged and that was committed.
    pub had: PeerLogId,
}

/// Something that every site must report.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Incident {
    /// Tells it from all others.
    pub number: u64,
    /// What happened.
    pub kind: IncidentKind,
    /// The node that it's about.
    pub node: NodeId,
    /// Names, positions and addresses, for people.
    pub what: Text<255>,
}

/// The kinds of incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum IncidentKind {
    /// A copy came back with less than it had.
    RolledBack,
    /// Two processes of one node run.
    Twin,
    /// Two committed histories.
    HistoryDiffers,
}

/// From every node to every other one.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct MemoryNotice {
    /// The primary's term; 0 from another node.
    pub term: u64,
    /// The sender's life: it's remembered from the moment when its copy counts.
    pub life: PeerLife,
    /// The kind of the sender's copy.
    pub standing: CopyStanding,
    /// From a primary: what every member had.
    pub had: Vec<MemberHad>,
    /// What the primary has found, or heard of.
    pub incidents: Vec<Incident>,
}
