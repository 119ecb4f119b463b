//! The engine's request that a follower take over, and the answer, to and from the wire.
//!
//! It never judges them: the engine does.

use evenkeel_wire::peer::{HandoverReply, HandoverRequest};
use openraft::raft::{TransferLeaderError, TransferLeaderRequest, TransferLeaderResponse};

use crate::replication::engine::types::{
    EngineTypes, LogId, log_id_from_wire, log_id_to_wire, vote_from_wire, vote_to_wire,
};

pub fn request_to_wire(request: &TransferLeaderRequest<EngineTypes>) -> HandoverRequest {
    HandoverRequest {
        from: vote_to_wire(request.from_leader()),
        to: *request.to_node_id(),
        last: request.last_log_id().map(log_id_to_wire),
    }
}

pub fn request_from_wire(request: HandoverRequest) -> TransferLeaderRequest<EngineTypes> {
    let last = request.last.map(log_id_from_wire);
    TransferLeaderRequest::new(vote_from_wire(request.from), request.to, last)
}

pub fn reply_to_wire(response: TransferLeaderResponse<EngineTypes>) -> HandoverReply {
    let to_wire = |id: Option<LogId>| id.as_ref().map(log_id_to_wire);
    match response {
        Ok(()) => HandoverReply::Accepted,
        Err(TransferLeaderError::VoteChanged { expected, actual }) => HandoverReply::VoteChanged {
            expected: vote_to_wire(&expected),
            actual: vote_to_wire(&actual),
        },
        Err(TransferLeaderError::LogNotFlushed { expected, actual }) => {
            HandoverReply::LogNotFlushed { expected: to_wire(expected), actual: to_wire(actual) }
        }
    }
}

pub fn reply_from_wire(reply: HandoverReply) -> TransferLeaderResponse<EngineTypes> {
    match reply {
        HandoverReply::Accepted => Ok(()),
        HandoverReply::VoteChanged { expected, actual } => Err(TransferLeaderError::VoteChanged {
            expected: vote_from_wire(expected),
            actual: vote_from_wire(actual),
        }),
        HandoverReply::LogNotFlushed { expected, actual } => {
            Err(TransferLeaderError::LogNotFlushed {
                expected: expected.map(log_id_from_wire),
                actual: actual.map(log_id_from_wire),
            })
        }
    }
}
