//! A member's messages that the engine would assert: refused by name, that lane alone.

use std::time::Duration;

use bytes::Bytes;
use evenkeel_wire::{
    endpoint::PeerLink,
    peer::{self, AppendHead, Lane, PeerLogId, PeerRecord, PeerVote},
};
use tokio::time::timeout;

use super::child::await_site_line;
use crate::{
    accept::{
        main::input::frames,
        sheet::ResultSheet,
        stage::{self, PATIENCE},
    },
    cluster::{admin, nodes, testnet::Testnet, up},
};

const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// The kind of a record without commands.
const BLANK: u8 = 0;

/// Row mend.19: gaps, terms that go back, the last term: none of them ends the node, or changes its
/// term.
pub(crate) async fn check_impossible_appends(
    testnet: &Testnet,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    up::up(testnet, true, true).await?;
    let member = stage::follower(testnet).await?;
    let primary = testnet.primary().await?;
    nodes::stop(testnet, member).await?;
    let process = testnet.demand_process(primary)?;
    let before = admin::status(&primary.admin_socket()).await?;
    let from = primary.log_length();
    let endpoint = frames::endpoint(&member.folder().join("tls"))?;
    let term = before.term + 100;
    let last = before.flushed.unwrap_or(0);
    let cases = [
        ("a gap after the journal's end", term, (before.term, last), vec![(term, last + 2)]),
        (
            "a gap between two records",
            term,
            (before.term, last),
            vec![(term, last + 1), (term, last + 3)],
        ),
        ("a term that goes back", term, (before.term, last), vec![(0, last + 1)]),
        ("the last term", u64::MAX, (before.term, last), vec![]),
    ];
    for (what, term, previous, records) in cases {
        for lane in [Lane::Append, Lane::Control] {
            let link = endpoint.dial(primary.node, primary.peer_address()).await?;
            let bytes = append(member.node, term, previous, &records);
            let ended = lane_ends(&link, lane, &bytes).await?;
            let alone = !link.is_closed();
            sheet.record_claim(
                format!("{what} on the {lane:?} lane: the lane ends: {ended}, the connection stays: {alone}"),
                ended && alone,
            );
        }
    }
    let words = ["WARN", "broke the protocol", &member.name];
    let line = await_site_line(primary, from, &words, PATIENCE).await;
    let said = line.as_deref().unwrap_or("nothing");
    sheet.record_claim(format!("the log: {said}"), line.is_some());
    let after = admin::status(&primary.admin_socket()).await?;
    sheet.record_claim(
        format!("{} still runs and leads term {}", primary.name, after.term),
        !process.is_gone() && after.term == before.term && after.is_primary(),
    );
    nodes::start(testnet, member).await?;
    up::await_caught_up(testnet, PATIENCE).await?;
    up::down(testnet).await
}

fn append(node: u64, term: u64, previous: (u64, u64), records: &[(u64, u64)]) -> Vec<u8> {
    let head = AppendHead {
        vote: PeerVote { term, node, committed: true },
        previous: Some(PeerLogId { term: previous.0, position: previous.1 }),
        previous_link: None,
        committed: None,
        admittance: None,
        records: u32::try_from(records.len()).expect("a few"),
    };
    let records: Vec<PeerRecord> = records
        .iter()
        .map(|(term, position)| PeerRecord {
            position: *position,
            term: *term,
            time: 0,
            kind: BLANK,
            payload: Bytes::new(),
        })
        .collect();
    let mut frame = Vec::new();
    peer::write_append(&head, records.iter(), &mut frame);
    frame
}

/// Whether the lane is ended without an answer.
async fn lane_ends(link: &PeerLink, lane: Lane, bytes: &[u8]) -> anyhow::Result<bool> {
    let (mut sender, mut receiver) = frames::open_introduced_lane(link, lane).await?;
    sender.send(bytes).await?;
    let answer = timeout(ANSWER_WITHIN, receiver.receive()).await?;
    Ok(!matches!(answer, Ok(Some(_))))
}
