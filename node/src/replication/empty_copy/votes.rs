//! Which votes count. A copy that began empty may have voted before and forgotten it, so its vote
//! counts only where all copies began empty (a cluster's first election), or where this node
//! recognises the copy from that election.
//!
//! It only discards votes. Which of the others make a majority is the engine's decision.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use evenkeel_wire::{id::NodeId, peer::VoteReply};
use tokio::sync::Notify;

/// An election, or the pre-vote before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Poll {
    pub term: u64,
    pub pre_vote: bool,
}

/// The others' answers to this node's newest candidacies.
pub(super) struct Votes {
    others: Vec<NodeId>,
    answers: Mutex<Answers>,
    changed: Notify,
}

#[derive(Default)]
struct Answers {
    polls: BTreeMap<bool, PollAnswers>,
}

struct PollAnswers {
    term: u64,
    /// The sites that granted their votes, with the numbers of copies that began empty.
    granted: BTreeMap<NodeId, Option<u64>>,
}

impl Votes {
    pub(super) fn new(others: Vec<NodeId>) -> Self {
        Self { others, answers: Mutex::default(), changed: Notify::new() }
    }

    /// Records an answer.
    pub(super) fn record_reply(&self, poll: Poll, from: NodeId, reply: &VoteReply) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let newest =
            answers.polls.entry(poll.pre_vote).or_insert_with(|| PollAnswers::new(poll.term));
        if newest.term < poll.term {
            *newest = PollAnswers::new(poll.term);
        }
        if newest.term == poll.term {
            if reply.granted {
                newest.granted.insert(from, reply.joining);
            } else if poll.pre_vote {
                // Only a vote binds: a pre-vote that was granted once may be refused later.
                newest.granted.remove(&from);
            }
        }
        drop(answers);
        self.changed.notify_waiters();
    }

    /// The numbers of all other copies, if each began empty and each granted its vote.
    pub(super) fn founders(&self, poll: Poll) -> Option<BTreeMap<NodeId, u64>> {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = answers.polls.get(&poll.pre_vote).filter(|newest| newest.term == poll.term);
        let copy = |node: &NodeId| Some((*node, (*newest?.granted.get(node)?)?));
        self.others.iter().map(copy).collect()
    }

    /// Waits until [`Self::founders`] has a value; for ever if it never has.
    pub(super) async fn wait_for_founders(&self, poll: Poll) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.founders(poll).is_some() {
                return;
            }
            changed.await;
        }
    }
}

impl PollAnswers {
    fn new(term: u64) -> Self {
        Self { term, granted: BTreeMap::new() }
    }
}

#[cfg(test)]
mod tests {
    use evenkeel_wire::peer::PeerVote;

    use super::*;

    const POLL: Poll = Poll { term: 5, pre_vote: false };

    fn reply(granted: bool, joining: Option<u64>) -> VoteReply {
        let vote = PeerVote { term: 5, node: 1, committed: false };
        VoteReply { vote, granted, last: None, joining }
    }

    #[test]
    fn a_first_election_takes_all_sites() {
        let votes = Votes::new(vec![2, 3]);
        votes.record_reply(POLL, 2, &reply(true, Some(22)));
        assert_eq!(votes.founders(POLL), None, "one is missing");
        votes.record_reply(POLL, 3, &reply(false, Some(33)));
        assert_eq!(votes.founders(POLL), None, "one refused");
        votes.record_reply(POLL, 3, &reply(true, Some(33)));
        assert_eq!(votes.founders(POLL), Some(BTreeMap::from([(2, 22), (3, 33)])));
        assert_eq!(votes.founders(Poll { term: 6, ..POLL }), None, "another election");
        assert_eq!(votes.founders(Poll { pre_vote: true, ..POLL }), None, "only a vote is one");

        votes.record_reply(POLL, 3, &reply(true, None));
        assert_eq!(votes.founders(POLL), None, "one remembers more");
        votes.record_reply(Poll { term: 6, ..POLL }, 2, &reply(true, Some(22)));
        votes.record_reply(POLL, 3, &reply(true, Some(33)));
        assert_eq!(votes.founders(POLL), None, "an old answer comes too late");
        assert_eq!(Votes::new(Vec::new()).founders(POLL), Some(BTreeMap::new()), "alone");
    }

    #[test]
    fn a_pre_vote_that_was_granted_may_be_refused_later() {
        let votes = Votes::new(vec![2]);
        let poll = Poll { pre_vote: true, ..POLL };
        votes.record_reply(poll, 2, &reply(true, Some(22)));
        assert!(votes.founders(poll).is_some());
        votes.record_reply(poll, 2, &reply(false, Some(22)));
        assert_eq!(votes.founders(poll), None);
    }

    #[tokio::test]
    async fn a_vote_waits_for_the_last_one() {
        let votes = Votes::new(vec![2, 3]);
        votes.record_reply(POLL, 2, &reply(true, Some(22)));
        let all = votes.wait_for_founders(POLL);
        let late = async {
            tokio::task::yield_now().await;
            votes.record_reply(POLL, 3, &reply(true, Some(33)));
        };
        tokio::join!(all, late);
    }
}
