//! One connection to one site, without retries: for load generators and for tests.
//!
//! Frames are written as given; replies come as frames, in any order, each with the number of its
//! request.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;

use super::{ClientConfig, SiteAddress};
use crate::{
    codec,
    endpoint::{DialError, Dialler, FrameReceiver, FrameSender, Link, transport},
    frame::{self, Frame},
    identity::Trust,
    reply::{OUTCOMES, Outcomes, REFUSED, Refusal, Refused, VIEW, ViewReply, WELCOME, Welcome},
    request::{HELLO, Hello},
    transfer::Text,
};

/// A connection that receives nothing for this long is closed.
const IDLE: Duration = Duration::from_secs(5);
/// The longest time for a handshake, and then for the answer to HELLO.
const CONNECT_MAX: Duration = Duration::from_secs(3);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The site isn't reached, or another server answers there.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The connection was lost before the site's welcome.
    #[error("{site}: {error}")]
    Lost {
        /// The site's name.
        site: String,
        /// The error.
        error: io::Error,
    },
    /// The site rejects this client.
    #[error("{site}: {refusal}")]
    Refused {
        /// The site's name.
        site: String,
        /// The reason.
        refusal: Refusal,
    },
}

/// Makes connections, all from one UDP port.
#[derive(Clone, Debug)]
pub struct Connector {
    dialler: Dialler,
    hello: Arc<[u8]>,
}

impl Connector {
    /// Opens a port for the clients of this cluster. Needs tokio's runtime.
    ///
    /// # Errors
    /// When the authority's file is unusable, the key is too long, or the system has no free port.
    pub fn new(config: &ClientConfig) -> io::Result<Self> {
        Self::with_keep_alive(config, IDLE / 4)
    }

    /// The same with another keepalive interval.
    pub(crate) fn with_keep_alive(config: &ClientConfig, every: Duration) -> io::Result<Self> {
        let trust = Trust::load(&config.ca, config.cluster).map_err(io::Error::other)?;
        let key = Text::new(&config.key).map_err(|error| {
            io::Error::new(io::ErrorKind::InvalidInput, format!("the key is {error}"))
        })?;
        let ipv6 = config.sites.iter().any(|site| site.client.is_ipv6());
        let transport = transport::to_node(IDLE, every);
        let dialler = Dialler::for_client(&trust, ipv6, transport, CONNECT_MAX)
            .map_err(|error| io::Error::other(error.to_string()))?;
        Ok(Self { dialler, hello: frame::encode_whole(HELLO, &Hello { key }).into() })
    }

    /// Connects to a site and sends the key.
    ///
    /// # Errors
    /// When the site isn't reached or rejects this client.
    pub async fn connect(&self, site: &SiteAddress) -> Result<RawConnection, ConnectError> {
        let link = self.dialler.dial(site.node, site.client).await?;
        let greeted = tokio::time::timeout(CONNECT_MAX, greet(&link, &self.hello)).await;
        let lost = |error| ConnectError::Lost { site: site.name.clone(), error };
        let (welcome, sender, receiver) = match greeted.map_err(|late| lost(late.into()))? {
            Ok(Ok(greeted)) => greeted,
            Ok(Err(refusal)) => {
                return Err(ConnectError::Refused { site: site.name.clone(), refusal });
            }
            Err(error) => return Err(lost(error)),
        };
        let link = Arc::new(link);
        let hello = self.hello.clone();
        Ok(RawConnection {
            welcome,
            sender: RawSender { link: link.clone(), sender },
            receiver: RawReceiver { link, receiver },
            hello,
        })
    }
}

type Greeted = Result<(Welcome, FrameSender, FrameReceiver), Refusal>;

async fn greet(link: &Link, hello: &[u8]) -> io::Result<Greeted> {
    let (mut sender, mut receiver) = link.open_stream().await?;
    sender.send(hello).await?;
    let Some(first) = receiver.receive().await? else {
        return Err(io::ErrorKind::UnexpectedEof.into());
    };
    let invalid = |error: codec::CodecError| io::Error::new(io::ErrorKind::InvalidData, error);
    match first.kind {
        WELCOME => {
            let welcome = codec::decode(&first.body).map_err(invalid)?;
            Ok(Ok((welcome, sender, receiver)))
        }
        REFUSED => {
            let refused: Refused = codec::decode(&first.body).map_err(invalid)?;
            Ok(Err(refused.refusal))
        }
        other => {
            let text = format!("the site began with a frame of type {other}");
            Err(io::Error::new(io::ErrorKind::InvalidData, text))
        }
    }
}

/// A connection whose key was accepted. Closes when both halves are dropped.
#[derive(Debug)]
pub struct RawConnection {
    welcome: Welcome,
    sender: RawSender,
    receiver: RawReceiver,
    hello: Arc<[u8]>,
}

impl RawConnection {
    /// The site's welcome.
    #[must_use]
    pub fn welcome(&self) -> &Welcome {
        &self.welcome
    }

    /// See [`RawSender::send`]. No replies are read meanwhile: with many requests in flight, use
    /// [`Self::split`].
    ///
    /// # Errors
    /// When the connection is lost.
    pub async fn send(&mut self, frames: &[u8]) -> io::Result<()> {
        self.sender.send(frames).await
    }

    /// See [`RawReceiver::receive`].
    ///
    /// # Errors
    /// When the connection is lost or the bytes aren't a frame.
    pub async fn receive(&mut self) -> io::Result<Option<Frame>> {
        self.receiver.receive().await
    }

    /// See [`RawReceiver::try_receive`].
    ///
    /// # Errors
    /// When the bytes aren't a frame.
    pub fn try_receive(&mut self) -> io::Result<Option<Frame>> {
        self.receiver.try_receive()
    }

    /// Splits the connection, so that both directions can be used at the same time.
    #[must_use]
    pub fn split(self) -> (RawSender, RawReceiver) {
        (self.sender, self.receiver)
    }

    pub(crate) fn primary_probe(&self) -> PrimaryProbe {
        PrimaryProbe { link: self.sender.link.clone(), hello: self.hello.clone() }
    }
}

/// Asks a site for the current primary, with another HELLO on a new stream.
#[derive(Debug)]
pub(crate) struct PrimaryProbe {
    link: Arc<Link>,
    hello: Arc<[u8]>,
}

impl PrimaryProbe {
    pub(crate) async fn ask_primary(&self) -> Option<Welcome> {
        match tokio::time::timeout(CONNECT_MAX, greet(&self.link, &self.hello)).await {
            Ok(Ok(Ok((welcome, _, _)))) => Some(welcome),
            _ => None,
        }
    }

    /// The number of datagrams received from the site.
    pub(crate) fn datagrams_received(&self) -> u64 {
        self.link.datagrams_received()
    }

    pub(crate) fn close(&self) {
        self.link.close("the client is done");
    }
}

/// The direction to the site.
#[derive(Debug)]
pub struct RawSender {
    link: Arc<Link>,
    sender: FrameSender,
}

impl RawSender {
    /// Writes any number of whole frames.
    ///
    /// # Errors
    /// When the connection is lost.
    pub async fn send(&mut self, frames: &[u8]) -> io::Result<()> {
        self.sender.send(frames).await
    }

    /// The same without a copy.
    ///
    /// # Errors
    /// When the connection is lost.
    pub async fn send_bytes(&mut self, frames: Bytes) -> io::Result<()> {
        self.sender.send_bytes(frames).await
    }

    /// Closes the connection at once, both directions.
    pub fn close(&self) {
        self.link.close("the client is done");
    }
}

/// The direction from the site.
#[derive(Debug)]
pub struct RawReceiver {
    link: Arc<Link>,
    receiver: FrameReceiver,
}

impl RawReceiver {
    /// The next reply, or `None` when the site ends the stream. Cancellation loses nothing.
    ///
    /// # Errors
    /// When the connection is lost or the bytes aren't a frame.
    pub async fn receive(&mut self) -> io::Result<Option<Frame>> {
        self.receiver.receive().await
    }

    /// The next reply that is already in memory; never waits.
    ///
    /// # Errors
    /// When the bytes aren't a frame.
    pub fn try_receive(&mut self) -> io::Result<Option<Frame>> {
        self.receiver.try_receive()
    }

    /// Whether the connection has ended.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.link.is_closed()
    }
}

/// A site's answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// To a SUBMIT.
    Outcomes(Outcomes),
    /// To a READ.
    View(ViewReply),
    /// To either: there's no outcome.
    Refused(Refused),
}

impl Reply {
    /// Reads a reply.
    ///
    /// # Errors
    /// When the frame isn't a reply.
    pub fn read(frame: &Frame) -> Result<Self, codec::CodecError> {
        match frame.kind {
            OUTCOMES => codec::decode(&frame.body).map(Self::Outcomes),
            VIEW => codec::decode(&frame.body).map(Self::View),
            REFUSED => codec::decode(&frame.body).map(Self::Refused),
            other => {
                Err(codec::CodecError::Malformed(format!("a frame of type {other} is no reply")))
            }
        }
    }

    /// The number of the request that a frame answers, without decoding the rest.
    #[must_use]
    pub fn request_number(frame: &Frame) -> Option<u64> {
        let known = matches!(frame.kind, OUTCOMES | VIEW | REFUSED);
        let number = frame.body.first_chunk::<8>().filter(|_| known)?;
        Some(u64::from_le_bytes(*number))
    }
}
