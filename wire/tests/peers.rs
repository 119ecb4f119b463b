//! Who gets into the port between sites, and what crosses it.

#![allow(clippy::unwrap_used, reason = "a test that fails says so by panicking")]

mod support;

use std::{io, time::Duration};

use evenkeel_wire::{
    endpoint::{DialError, PeerEndpoint, PeerLink, PeerSettings},
    frame,
    peer::{DIGEST, DigestNotice, Lane},
};
use support::{Authority, cluster, loopback, peer, soon};

fn notice(position: u64) -> Vec<u8> {
    frame::whole(DIGEST, &DigestNotice { position, link: [1; 32], digest: [2; 32] })
}

async fn pair(authority: &Authority) -> ((PeerEndpoint, PeerLink), (PeerEndpoint, PeerLink)) {
    let (one, _) = peer(authority.identity(cluster(7), 1));
    let (two, address) = peer(authority.identity(cluster(7), 2));
    let (dialled, accepted) =
        tokio::join!(soon("dial", one.dial(2, address)), soon("accept", two.accept()));
    ((one, dialled.unwrap()), (two, accepted.unwrap()))
}

#[tokio::test]
async fn both_ends_know_each_other_and_frames_arrive_in_order_on_every_lane() {
    let authority = Authority::new();
    let ((_one, dialled), (_two, accepted)) = pair(&authority).await;
    assert_eq!((dialled.node(), accepted.node()), (2, 1));

    for lane in [Lane::Append, Lane::Control, Lane::Forward] {
        let (mut sender, mut answers) = dialled.open_lane(lane).await.unwrap();
        let (found, mut answer, mut receiver) = soon("lane", accepted.accept_lane()).await.unwrap();
        assert_eq!(found, lane);
        let frames: Vec<u8> = (0..1_000).flat_map(notice).collect();
        sender.send(&frames).await.unwrap();
        sender.send_bytes(notice(1_000).into()).await.unwrap();
        for position in 0..=1_000 {
            let frame = soon("frame", receiver.receive()).await.unwrap().unwrap();
            assert_eq!(notice(position)[frame::HEAD_BYTES..], frame.body, "{position}");
        }
        answer.send(&notice(9)).await.unwrap();
        assert_eq!(soon("answer", answers.receive()).await.unwrap().unwrap().kind, DIGEST);
        soon("finish", sender.finish()).await.unwrap();
        assert_eq!(soon("end", receiver.receive()).await.unwrap(), None);
    }
    assert!(dialled.rtt() > Duration::ZERO);
    dialled.close("that was all");
    let why = soon("close", accepted.closed()).await;
    assert_eq!(why, "closed by the other side: that was all");
    assert!(accepted.is_closed());
}
