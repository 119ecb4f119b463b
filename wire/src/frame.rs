//! Frames: messages on a stream.
//!
//! ```text
//! 0 u32 length of what follows   4 u8 version   5 u8 type   6 body
//! ```
//! The length is checked before anything is allocated for it.

use bytes::{Buf, Bytes, BytesMut};

use crate::{limits::FRAME_BYTES_MAX, version::FRAME_VERSION};

/// The bytes before a frame's body.
pub const HEAD_BYTES: usize = 6;

/// The most bytes reserved for a frame before its body arrives.
const PROMISED_BYTES_MAX: usize = 1 << 20;

/// Why a stream can't be read further. The stream must be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The length is over the limit, or too short for version and type.
    #[error("a frame of {0} bytes; allowed are 2 to {FRAME_BYTES_MAX}")]
    Length(u32),
    /// A version that this program doesn't support.
    #[error("a frame of version {0}; this program supports {FRAME_VERSION}")]
    Version(u8),
}

/// One message: its type and its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The type of the message.
    pub kind: u8,
    /// The encoded message.
    pub body: Bytes,
}

/// Starts a frame at the end of `buffer` and returns its offset; [`finish`] completes it.
pub fn start(buffer: &mut Vec<u8>, kind: u8) -> usize {
    let at = buffer.len();
    buffer.extend_from_slice(&[0, 0, 0, 0, FRAME_VERSION, kind]);
    at
}

/// Completes the frame that [`start`] began at `at`.
///
/// # Panics
/// If the frame is larger than [`FRAME_BYTES_MAX`]: callers must keep to `limits`.
pub fn finish(buffer: &mut [u8], at: usize) {
    let length = buffer.len() - at - 4;
    assert!(length <= FRAME_BYTES_MAX - 4, "a frame of {length} bytes is over the limit");
    let length = u32::try_from(length).expect("checked above");
    buffer[at..at + 4].copy_from_slice(&length.to_le_bytes());
}

/// Encodes a message in a whole frame.
///
/// # Panics
/// See [`finish`].
#[must_use]
pub fn encode_whole(kind: u8, message: &impl bincode::Encode) -> Vec<u8> {
    let mut buffer = Vec::new();
    let at = start(&mut buffer, kind);
    crate::codec::encode_into(message, &mut buffer);
    finish(&mut buffer, at);
    buffer
}

/// Removes the next frame from a stream's buffer; `None` if more bytes are needed.
///
/// # Errors
/// If the head is invalid: the stream must be closed.
pub fn take_frame(buffer: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
    let Some(head) = buffer.first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_le_bytes(*head);
    let bytes = usize::try_from(length).unwrap_or(usize::MAX);
    if !(2..=FRAME_BYTES_MAX - 4).contains(&bytes) {
        return Err(FrameError::Length(length));
    }
    if let Some(version) = buffer.get(4)
        && *version != FRAME_VERSION
    {
        return Err(FrameError::Version(*version));
    }
    if buffer.len() < 4 + bytes {
        // The length isn't trusted: more space is reserved only as bytes arrive.
        buffer.reserve((4 + bytes - buffer.len()).min(PROMISED_BYTES_MAX));
        return Ok(None);
    }
    let mut frame = buffer.split_to(4 + bytes).freeze();
    let kind = frame[5];
    frame.advance(HEAD_BYTES);
    Ok(Some(Frame { kind, body: frame }))
}
