//! Row 11: strangers at the QUIC ports. Handshakes that stall at the peer port don't lock members
//! out, and a refused HELLO keeps no connection.

use std::{
    collections::HashSet,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use evenkeel_wire::{
    endpoint::{PeerEndpoint, PeerSettings},
    frame,
    identity::Identity,
    request::{HELLO, Hello},
    transfer::Text,
    version::{ALPN_CLIENT, ALPN_PEER},
};
use quinn::crypto::rustls::QuicClientConfig;
use rustls::{
    DigitallySignedStruct, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use tokio::{
    net::UdpSocket,
    time::{Instant, sleep, timeout},
};

use crate::{
    accept::{sheet::ResultSheet, stage},
    cluster::{http::Door, nodes, site::Site, testnet::Testnet, up},
    output::print_progress,
};

/// Handshakes that are begun every quarter of a second: the port has 64 places.
const HANDSHAKES: usize = 32;
const WAVE: Duration = Duration::from_millis(250);
const WAVES: usize = 80;
const BACK_WITHIN: Duration = Duration::from_secs(10);
const DIALS: usize = 20;
const HELLOS: usize = 40;
const CLOSED_WITHIN: Duration = Duration::from_secs(12);

pub(super) async fn strangers_at_the_ports(
    testnet: &Testnet,
    sheet: &mut ResultSheet,
) -> anyhow::Result<()> {
    up::up(testnet, true, false).await?;
    let primary = testnet.primary().await?;
    refused_hellos(primary, sheet).await?;

    let follower = stage::follower(testnet).await?;
    nodes::kill(testnet, follower).await?;
    let relay = relay_that_stalls_handshakes(primary.peer_address()).await?;
    let attack = tokio::spawn(stall_handshakes(relay));
    sleep(WAVE * 8).await;
    member_gets_in(primary, follower, sheet).await?;
    nodes::start(testnet, follower).await?;
    let back = until_ready(testnet, BACK_WITHIN).await;
    sheet.record_claim("the member is back, and all sites are ready", back);
    sheet.record_claim("the attack went on until then", !attack.is_finished());
    attack.abort();
    Ok(())
}

/// Dials with the certificate of a member that is down, while handshakes stall at the port.
async fn member_gets_in(site: &Site, member: &Site, sheet: &mut ResultSheet) -> anyhow::Result<()> {
    let file = |name: &str| member.folder().join("tls").join(name);
    let identity = Identity::load_node(&file("ca.pem"), &file("node.pem"), &file("node.key"))?;
    let listen = (Ipv4Addr::LOCALHOST, 0).into();
    let endpoint = PeerEndpoint::bind(listen, identity, PeerSettings::default())?;
    let (mut reached, mut slowest) = (0, Duration::ZERO);
    for _ in 0..DIALS {
        let start = Instant::now();
        match endpoint.dial(site.node, site.peer_address()).await {
            Ok(link) => {
                reached += 1;
                slowest = slowest.max(start.elapsed());
                link.close("seen");
            }
            Err(error) => print_progress(&format!("  a member isn't let in: {error}")),
        }
        sleep(WAVE).await;
    }
    sheet.record_claim(
        format!(
            "{HANDSHAKES} handshakes every {} ms stall at the peer port of {}: a member was let in {reached} of {DIALS} times",
            WAVE.as_millis(),
            site.name
        ),
        reached == DIALS,
    );
    sheet.takes_at_most("the slowest of them", slowest, Duration::from_secs(1));
    Ok(())
}

async fn until_ready(testnet: &Testnet, patience: Duration) -> bool {
    let ready = async {
        loop {
            let statuses = testnet.statuses().await;
            if statuses.iter().all(|status| status.as_ref().is_ok_and(|status| status.ready)) {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(patience, ready).await.is_ok()
}

/// Sends a key that nobody has, and keeps the connection open.
async fn refused_hellos(site: &Site, sheet: &mut ResultSheet) -> anyhow::Result<()> {
    let endpoint = quinn::Endpoint::client((Ipv4Addr::LOCALHOST, 0).into())?;
    let hello = Hello { key: Text::new("ek_nobody's")? };
    let hello = frame::encode_whole(HELLO, &hello);
    let mut connections = Vec::new();
    for _ in 0..HELLOS {
        let connecting =
            endpoint.connect_with(credulous(ALPN_CLIENT)?, site.client_address(), "evenkeel")?;
        let connection = connecting.await?;
        let (mut send, receive) = connection.open_bi().await?;
        send.write_all(&hello).await?;
        connections.push((connection, send, receive));
    }
    let start = Instant::now();
    let mut closed = 0;
    for (connection, _, receive) in &mut connections {
        // The refusal is read, so that the site's goodbye isn't what it waits for.
        let _refusal = receive.read_to_end(4_096).await;
        let left = CLOSED_WITHIN.saturating_sub(start.elapsed());
        closed += usize::from(timeout(left, connection.closed()).await.is_ok());
    }
    sheet.record_claim(
        format!("{closed} of {HELLOS} connections with a refused hello were closed by the site"),
        closed == HELLOS,
    );
    let metrics = Door::new(site.http_address(), None).get("/metrics").await?;
    let metrics = String::from_utf8_lossy(&metrics.body).into_owned();
    let open = metrics.lines().find(|line| line.starts_with("evenkeel_connections{door=\"quic\"}"));
    let open = open.context("no metric of the connections")?;
    sheet.record_claim(format!("their places are free: {open}"), open.ends_with(" 0"));
    Ok(())
}

/// Begins handshakes in waves, and keeps all of them.
async fn stall_handshakes(relay: SocketAddr) -> anyhow::Result<()> {
    let endpoint = quinn::Endpoint::client((Ipv4Addr::LOCALHOST, 0).into())?;
    let config = credulous(ALPN_PEER)?;
    let mut kept = Vec::new();
    for _ in 0..WAVES {
        for _ in 0..HANDSHAKES {
            kept.push(endpoint.connect_with(config.clone(), relay, "evenkeel")?);
        }
        sleep(WAVE).await;
    }
    Ok(())
}

/// Forwards what begins a handshake to the port, and everything back. What would complete a
/// handshake names a connection id that the port chose in its first flight: it's dropped.
async fn relay_that_stalls_handshakes(port: SocketAddr) -> anyhow::Result<SocketAddr> {
    let (outside, inside) = (
        UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?,
        UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?,
    );
    let address = outside.local_addr()?;
    tokio::spawn(async move {
        let (mut there, mut home) = ([0; 2_048], [0; 2_048]);
        let (mut client, mut chosen) = (None, HashSet::new());
        loop {
            tokio::select! {
                received = outside.recv_from(&mut there) => {
                    let Ok((length, from)) = received else { return };
                    client = Some(from);
                    let datagram = &there[..length];
                    if long_header(datagram).is_some_and(|(_, to, _)| !chosen.contains(to)) {
                        let _lost_or_not = inside.send_to(datagram, port).await;
                    }
                }
                received = inside.recv_from(&mut home) => {
                    let Ok((length, _)) = received else { return };
                    let datagram = &home[..length];
                    if let Some((INITIAL, _, own)) = long_header(datagram) {
                        chosen.insert(own.to_vec());
                    }
                    if let Some(client) = client {
                        let _lost_or_not = outside.send_to(datagram, client).await;
                    }
                }
            }
        }
    });
    Ok(address)
}

/// The type of an Initial packet, in the bits 0x30 of a long header's first byte (RFC 9000 §17.2).
const INITIAL: u8 = 0;

/// A datagram's first packet: its type, and the connection ids of its receiver and its sender.
fn long_header(datagram: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let first = datagram.first().filter(|first| **first & 0x80 != 0)?;
    let (length, rest) = datagram.get(5..)?.split_first()?;
    let (to, rest) = rest.split_at_checked(usize::from(*length))?;
    let (length, rest) = rest.split_first()?;
    let (from, _) = rest.split_at_checked(usize::from(*length))?;
    Some((first & 0x30, to, from))
}

/// A stranger's settings: no certificate, and any is accepted.
fn credulous(alpn: &[u8]) -> anyhow::Result<quinn::ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate))
        .with_no_client_auth();
    tls.alpn_protocols = vec![alpn.to_vec()];
    let mut config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?));
    let mut transport = quinn::TransportConfig::default();
    // Keeps its place for as long as the site lets it.
    transport.keep_alive_interval(Some(Duration::from_secs(1)));
    config.transport_config(Arc::new(transport));
    Ok(config)
}

#[derive(Debug)]
struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}
