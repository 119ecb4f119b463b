//! Frames over one QUIC stream.

use std::io;

use bytes::{Bytes, BytesMut};
use quinn::{RecvStream, SendStream, VarInt};

use crate::frame::{self, Frame};

/// The pieces of a stream taken per read. A piece is the content of one datagram, so this is about
/// 80 kB in total.
const PIECES_MAX: usize = 64;

/// The code of a stream that was given up.
const ABANDONED: VarInt = VarInt::from_u32(1);

/// Writes frames to a stream. Dropping it ends the stream cleanly; written data is still sent while
/// the connection exists.
///
/// Write many small frames together: quinn keeps each write as a separate piece until it's
/// acknowledged, and iterates over those pieces for every datagram.
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

    /// Writes any number of whole frames. Waits while the receiver or the network is behind
    /// (back-pressure). Cancelling the wait leaves the stream cut within a frame: it must not be
    /// used any further.
    ///
    /// # Errors
    /// If the stream or its connection is closed.
    pub async fn send(&mut self, frames: &[u8]) -> io::Result<()> {
        let_others_run().await;
        Ok(self.stream.write_all(frames).await?)
    }

    /// Like [`Self::send`], without a copy.
    ///
    /// # Errors
    /// See [`Self::send`].
    pub async fn send_bytes(&mut self, frames: Bytes) -> io::Result<()> {
        let_others_run().await;
        Ok(self.stream.write_chunk(frames).await?)
    }

    /// Ends the stream and drops what was written and hasn't arrived: the other side reads an error
    /// instead. For a stream that is given up with much of it still on its way.
    pub fn reset(&mut self) {
        // A stream that has ended already has nothing to drop.
        let _ended = self.stream.reset(ABANDONED);
    }

    /// Ends the stream and waits until the other side has received all of it, for a last message
    /// before closing.
    ///
    /// # Errors
    /// If the stream or its connection is closed, or the other side stopped the stream.
    pub async fn finish(mut self) -> io::Result<()> {
        self.stream.finish().map_err(io::Error::other)?;
        match self.stream.stopped().await {
            Ok(None) => Ok(()),
            Ok(Some(code)) => Err(io::Error::other(format!("the receiver stopped it: {code}"))),
            Err(error) => Err(error.into()),
        }
    }
}

/// While the window has space a write never waits; without this a busy writer on a single-threaded
/// runtime would starve the connection's own task until the connection times out.
async fn let_others_run() {
    tokio::task::consume_budget().await;
}

/// Reads frames from a stream. Dropping it makes the sender stop.
///
/// A frame's body is a slice of the buffer with which it was read (64 KiB and more): copy bodies
/// that are kept for long.
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

    /// Returns the next frame, or `None` at the stream's clean end. Cancelling the wait loses
    /// nothing.
    ///
    /// # Errors
    /// `InvalidData` for an invalid frame, `UnexpectedEof` for an end within a frame, else the
    /// error that ended the connection. The stream can't be read any further.
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

    /// Returns the next frame that is already buffered; never waits, never reads.
    ///
    /// # Errors
    /// `InvalidData` for an invalid frame.
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
