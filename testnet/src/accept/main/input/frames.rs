//! Invalid bytes on both QUIC ports of a running primary: from strangers, from clients with a valid
//! key, and from a member with a valid certificate. The sender gets the reason and loses the
//! stream; no other client is affected.

use std::{net::UdpSocket, path::Path, time::Duration};

use anyhow::{Context, ensure};
use bytes::Bytes;
use evenkeel_wire::{
    client::{
        Client, ClientOptions,
        raw::{Connector, RawConnection, Reply},
    },
    codec,
    endpoint::{FrameReceiver, FrameSender, PeerEndpoint, PeerLink, PeerSettings},
    frame,
    identity::Identity,
    introduction::{
        CopyStanding, INTRODUCE, INTRODUCED, Introduction, PeerLife, Remembered, SAME_HISTORY,
    },
    limits::COMMANDS_MAX,
    peer::{self, AppendHead, Lane, PeerVote},
    reply::RefusalCode,
    request::{SUBMIT, Submit},
    transfer::TransferKind,
};
use tokio::time::timeout;

use crate::{
    accept::{
        sheet::{ResultSheet, output_text},
        stage,
    },
    cluster::{site::Site, testnet::Testnet},
    load::{
        accounts::{self, LoadAccounts},
        history::{CompactTransfer, History},
    },
    relay::rules::Chance,
};

const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Bound for the memory growth; the load running in parallel contributes to it.
const GROWTH_MAX: u64 = 64 << 20;
const DATAGRAMS: usize = 3_000;
const DEADLINE_MS: u32 = 5_000;

/// `down`: a member that isn't running, whose certificate is used.
pub(crate) async fn on_both_ports(
    testnet: &Testnet,
    down: &Site,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    let primary = testnet.primary().await?;
    let process = testnet.demand_process(primary)?;
    let before = process.resident_bytes().context("no memory figure")?;
    noise(testnet, sheet)?;
    client_streams(testnet, primary, sheet).await?;
    client_requests(testnet, primary, sheet).await?;
    peer_lanes(primary, down, sheet).await?;
    check_no_member(testnet, primary, sheet).await?;
    let after = process.resident_bytes().context("no memory figure")?;
    let grown = after.saturating_sub(before) >> 20;
    sheet.at_most("resident memory grew by", grown, GROWTH_MAX >> 20, " MiB");
    Ok(())
}

fn garbage(chance: &mut Chance, bytes: usize) -> Vec<u8> {
    (0..bytes).map(|_| u8::try_from(chance.below(256)).expect("a byte")).collect()
}

/// Sends datagrams that aren't QUIC, and some that look like the start of a connection.
fn noise(testnet: &Testnet, sheet: &mut ResultSheet) -> anyhow::Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let mut chance = Chance::new(11);
    for number in 0..DATAGRAMS {
        let site = &testnet.sites[number % testnet.sites.len()];
        let mut datagram = garbage(&mut chance, 1 + number % 1_452);
        if datagram.len() > 50 && number % 3 == 0 {
            datagram[..6].copy_from_slice(&[0xc3, 0, 0, 0, 1, 8]);
        }
        // A site that is down refuses some of them, which doesn't matter.
        let _ = socket.send_to(&datagram, site.peer_address());
        let _ = socket.send_to(&datagram, site.client_address());
    }
    sheet.record_claim(
        format!("{DATAGRAMS} datagrams of garbage sent to both ports of every site"),
        true,
    );
    Ok(())
}

/// Bytes that break a stream, each with a text that the answer must contain.
fn broken_streams() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let mut chance = Chance::new(12);
    let mut random = garbage(&mut chance, 64 << 10);
    // An impossible length; the site would wait for any possible one.
    random[..4].copy_from_slice(&[0x5a, 0xa5, 0x5a, 0xa5]);
    let over = u32::try_from(5 << 20).expect("small");
    vec![
        ("a frame of 4 GiB", u32::MAX.to_le_bytes().to_vec(), "a frame of 4294967295 bytes"),
        ("a frame of 5 MiB", over.to_le_bytes().to_vec(), "a frame of 5242880 bytes"),
        ("a frame of 1 byte", vec![1, 0, 0, 0, 1], "a frame of 1 bytes"),
        ("a frame of another version", vec![2, 0, 0, 0, 9, 2], "version 9"),
        ("a frame of no known type", vec![2, 0, 0, 0, 1, 200], "type 200"),
        ("64 KiB of garbage", random, "a frame of"),
    ]
}

async fn connect(testnet: &Testnet, site: &Site) -> anyhow::Result<RawConnection> {
    let config = stage::config_of_site(testnet, site)?;
    let address = config.sites.first().context("no site")?;
    Ok(Connector::new(&config)?.connect(address).await?)
}

async fn client_streams(
    testnet: &Testnet,
    site: &Site,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    let mut cases = broken_streams();
    let mut short = Vec::new();
    let at = frame::start(&mut short, SUBMIT);
    short.extend_from_slice(&[7; 5]);
    frame::finish(&mut short, at);
    cases.push(("a request shorter than its head", short, "shorter than its head"));
    for (what, bytes, word) in cases {
        let mut connection = connect(testnet, site).await?;
        connection.send(&bytes).await?;
        let told = timeout(ANSWER_WITHIN, connection.receive()).await??;
        let told = told.as_ref().map(Reply::read).transpose()?;
        let (holds, text) = match told {
            Some(Reply::Refused(refused)) => {
                let refusal = refused.refusal;
                let ends = timeout(ANSWER_WITHIN, connection.receive()).await??.is_none();
                let malformed = refusal.code == RefusalCode::Malformed && refused.number == 0;
                (malformed && ends && refusal.to_string().contains(word), refusal.to_string())
            }
            other => (false, format!("{other:?}")),
        };
        sheet.record_claim(format!("client port: {what}: reported and closed: {text}"), holds);
    }
    Ok(())
}

/// The same command with its id turned into a UUID of version 4.
fn of_version_4(command: &[u8], id: u128) -> Option<Vec<u8>> {
    let mut changed = command.to_vec();
    let at = command.windows(16).position(|bytes| bytes == id.to_le_bytes())?;
    let version = changed.get_mut(at + 9)?;
    *version = (*version & 0x0f) | 0x40;
    Some(changed)
}

/// Well-framed but invalid requests: each gets its own refusal, and the stream stays open.
async fn client_requests(
    testnet: &Testnet,
    site: &Site,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    let client = Client::connect(stage::client_config(testnet)?, ClientOptions::default());
    let accounts = LoadAccounts::draw(2);
    accounts::open(&client, &accounts, &mut History::new(accounts.clone().into())).await?;
    let asked = CompactTransfer::new(TransferKind::TopUp, 0, 5, 1);
    let good = codec::encode(&asked.to_command(&accounts));
    let version_4 = of_version_4(&good, asked.id.number()).context("a command without its id")?;
    let too_many = u32::try_from(COMMANDS_MAX + 1)?;
    let mut connection = connect(testnet, site).await?;
    for (number, what, deadline_ms, count, commands, code) in [
        (1, "no time at all", 0, 1, &good[..], RefusalCode::Malformed),
        (2, "no commands", DEADLINE_MS, 0, &[][..], RefusalCode::Malformed),
        (3, "two announced, one there", DEADLINE_MS, 2, &good, RefusalCode::Malformed),
        (4, "8,193 announced", DEADLINE_MS, too_many, &good, RefusalCode::TooLarge),
        (5, "a command cut short", DEADLINE_MS, 1, &good[..9], RefusalCode::Malformed),
        (6, "garbage for a command", DEADLINE_MS, 1, &[0xee; 40], RefusalCode::Malformed),
        (7, "an id of version 4", DEADLINE_MS, 1, &version_4, RefusalCode::IdNotUuidV7),
    ] {
        let mut request = Vec::new();
        let commands = Bytes::copy_from_slice(commands);
        Submit { number, deadline_ms, count, atomic: false, commands }.write(&mut request);
        connection.send(&request).await?;
        let frame = timeout(ANSWER_WITHIN, connection.receive()).await??.context("ended")?;
        let (holds, text) = match Reply::read(&frame)? {
            Reply::Refused(refused) => (
                refused.number == number && refused.refusal.code == code,
                refused.refusal.to_string(),
            ),
            other => (false, format!("{other:?}")),
        };
        sheet.record_claim(format!("client port: {what}: {text}"), holds);
    }
    let mut request = Vec::new();
    let commands = good.into();
    Submit { number: 8, deadline_ms: DEADLINE_MS, count: 1, atomic: false, commands }
        .write(&mut request);
    connection.send(&request).await?;
    let frame = timeout(ANSWER_WITHIN, connection.receive()).await??.context("ended")?;
    let decided = matches!(Reply::read(&frame)?, Reply::Outcomes(outcomes) if outcomes.number == 8);
    sheet.record_claim(
        "client port: after all of these the same stream still decides commands",
        decided,
    );
    Ok(())
}

pub(crate) fn endpoint(tls: &Path) -> anyhow::Result<PeerEndpoint> {
    let file = |name: &str| tls.join(name);
    let identity = Identity::load_node(&file("ca.pem"), &file("node.pem"), &file("node.key"))?;
    Ok(PeerEndpoint::bind("127.0.0.1:0".parse()?, identity, PeerSettings::default())?)
}

async fn peer_lanes(primary: &Site, down: &Site, sheet: &mut ResultSheet) -> anyhow::Result<()> {
    let endpoint = endpoint(&down.folder().join("tls"))?;
    for lane in [Lane::Control, Lane::Append, Lane::Forward] {
        for (what, bytes, word) in broken_streams() {
            let link = endpoint.dial(primary.node, primary.peer_address()).await?;
            let why = closing_reason(&link, lane, &bytes).await?;
            let holds = why.contains(word);
            sheet.record_claim(format!("peer port, {lane:?} lane: {what}: closed: {why}"), holds);
        }
    }
    // The member's own certificate with the primary's vote: the certificate contradicts the vote.
    let head = AppendHead {
        vote: PeerVote { term: u64::MAX, node: primary.node, committed: true },
        previous: None,
        previous_link: None,
        committed: None,
        admittance: None,
        records: 0,
    };
    let mut lie = Vec::new();
    peer::write_append(&head, std::iter::empty(), &mut lie);
    for lane in [Lane::Control, Lane::Append] {
        let link = endpoint.dial(primary.node, primary.peer_address()).await?;
        let why = closing_reason(&link, lane, &lie).await?;
        let holds = why.contains("speaks with the vote of");
        sheet.record_claim(
            format!("peer port, {lane:?} lane: another's vote: closed: {why}"),
            holds,
        );
    }
    Ok(())
}

/// Opens a lane and introduces a member on it. Its copy began empty: nobody keeps the life of such
/// a copy, so the member's own next start isn't in doubt.
pub(crate) async fn open_introduced_lane(
    link: &PeerLink,
    lane: Lane,
) -> anyhow::Result<(FrameSender, FrameReceiver)> {
    let introduction = Introduction {
        life: PeerLife { start: 1, nonce: 1 },
        standing: CopyStanding::BeganEmpty,
        in_majority: false,
        last: None,
        committed: None,
        remembered: Remembered::default(),
    };
    let (mut sender, mut receiver) = link.open_lane(lane).await?;
    sender.send(&frame::encode_whole(INTRODUCE, &introduction)).await?;
    let answer = timeout(ANSWER_WITHIN, receiver.receive()).await?;
    let answer = answer?.context("the lane ended before the introductions were done")?;
    ensure!(answer.kind == INTRODUCED, "a frame of type {} instead of INTRODUCED", answer.kind);
    sender.send(&frame::encode_whole(SAME_HISTORY, &())).await?;
    Ok((sender, receiver))
}

async fn closing_reason(link: &PeerLink, lane: Lane, bytes: &[u8]) -> anyhow::Result<String> {
    let (mut sender, _receiver) = match lane {
        Lane::Control | Lane::Append => open_introduced_lane(link, lane).await?,
        _ => link.open_lane(lane).await?,
    };
    sender.send(bytes).await?;
    Ok(timeout(ANSWER_WITHIN, link.wait_closed()).await.unwrap_or_else(|_| "still open".into()))
}

/// A certificate of this cluster for a node that isn't a member.
async fn check_no_member(
    testnet: &Testnet,
    primary: &Site,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    let ca = testnet.run_folder().join("ca");
    let tls = testnet.run_folder().join("ninth");
    let (ca, out) = (stage::path_text(&ca)?, stage::path_text(&tls)?);
    let arguments =
        ["cluster", "cert", "--ca", ca, "--site", "ninth=127.0.0.1:1", "--node", "9", "--out", out];
    let made = stage::run_evenkeel(testnet, &arguments).await?;
    ensure!(made.status.success(), "cluster cert: {}", output_text(&made));
    let endpoint = endpoint(&tls)?;
    let link = endpoint.dial(primary.node, primary.peer_address()).await?;
    let why = timeout(ANSWER_WITHIN, link.wait_closed()).await.unwrap_or_else(|_| "open".into());
    sheet.record_claim(
        format!("peer port: node 9 is no member: closed: {why}"),
        why.contains("member"),
    );
    Ok(())
}
