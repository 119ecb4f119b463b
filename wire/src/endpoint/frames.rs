//! Frames over one QUIC stream.

use std::io;

use bytes::{Bytes, BytesMut};
use quinn::{RecvStream, SendStream};

use crate::frame::{self, Frame};

/// Pieces of a stream taken per read: each is what one datagram brought, so about 80 kB in all.
const PIECES_MAX: usize = 64;

/// Writes frames. Dropping it ends the stream cleanly; what was written is still sent while the connection lives.
///
/// Write many small frames together: quinn keeps each write as a piece of its own until it's acknowledged, and walks
/// over those pieces for every datagram.
#[derive(Debug)]
pub struct FrameSender {
    stream: SendStream,
}

impl FrameSender {
    pub(crate) fn new(stream: SendStream) -> Self {
        Self { stream }
    }

    pub(crate) fn set_priority(&self, priority: i32) -> io::Result<()> {
        self.stream.set_priority(priority).map_err(io::Error::other)
    }

    /// Writes whole frames, as many as there are. Waits while the receiver or the network is behind.
    /// Giving up the wait leaves the stream cut within a frame: it must not be used any further.
    ///
    /// # Errors
    /// When the stream or its connection is gone.
    pub async fn send(&mut self, frames: &[u8]) -> io::Result<()> {
        let_others_run().await;
        Ok(self.stream.write_all(frames).await?)
    }

    /// The same without a copy.
    ///
    /// # Errors
    /// See [`Self::send`].
    pub async fn send_bytes(&mut self, frames: Bytes) -> io::Result<()> {
        let_others_run().await;
        Ok(self.stream.write_chunk(frames).await?)
    }

    /// Ends the stream and waits until the other side has all of it: for a last word before closing.
    ///
    /// # Errors
    /// When the stream or its connection is gone, or the other side wants no more.
    pub async fn finish(mut self) -> io::Result<()> {
        self.stream.finish().map_err(io::Error::other)?;
        match self.stream.stopped().await {
            Ok(None) => Ok(()),
            Ok(Some(code)) => Err(io::Error::other(format!("the receiver stopped it: {code}"))),
            Err(error) => Err(error.into()),
        }
    }
}

/// As long as the window has room a write never waits; without this a busy writer on a runtime of one thread would keep
/// the connection itself from being driven, until it times out.
async fn let_others_run() {
    tokio::task::consume_budget().await;
}

/// Reads frames. Dropping it tells the sender to stop.
///
/// A frame's body is a slice of the buffer that it was read with (64 KiB and more): copy what is kept for long.
#[derive(Debug)]
pub struct FrameReceiver {
    stream: RecvStream,
    buffer: BytesMut,
    pieces: Vec<Bytes>,
}

impl FrameReceiver {
    pub(crate) fn new(stream: RecvStream) -> Self {
        Self { stream, buffer: BytesMut::new(), pieces: vec![Bytes::new(); PIECES_MAX] }
    }

    /// The next frame, or `None` at the stream's clean end. Nothing is lost when the wait is given up.
    ///
    /// # Errors
    /// `InvalidData` for a frame that can't be accepted, `UnexpectedEof` for an end within a frame, else what the
    /// connection ended with. The stream can't be read any further.
    pub async fn receive(&mut self) -> io::Result<Option<Frame>> {
        loop {
            if let Some(frame) = self.try_receive()? {
                return Ok(Some(frame));
            }
            let Some(read) = self.stream.read_chunks(&mut self.pieces).await? else {
                return self.end_of_stream();
            };
            self.buffer_pieces(read);
        }
    }

    /// The next frame of those that were read already; never waits, never reads.
    ///
    /// # Errors
    /// `InvalidData` for a frame that can't be accepted.
    pub fn try_receive(&mut self) -> io::Result<Option<Frame>> {
        frame::take_frame(&mut self.buffer)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    fn buffer_pieces(&mut self, read: usize) {
        let pieces = &mut self.pieces[..read];
        let bytes: usize = pieces.iter().map(Bytes::len).sum();
        if self.buffer.capacity() - self.buffer.len() < bytes {
            self.buffer.reserve(bytes.max(64 << 10));
        }
        for piece in pieces {
            self.buffer.extend_from_slice(piece);
            *piece = Bytes::new();
        }
    }

    fn end_of_stream(&self) -> io::Result<Option<Frame>> {
        if self.buffer.is_empty() {
            return Ok(None);
        }
        let rest = self.buffer.len();
        let text = format!("the stream ended within a frame, {rest} bytes into it");
        Err(io::Error::new(io::ErrorKind::UnexpectedEof, text))
    }
}
