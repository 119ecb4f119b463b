//! A keep-alive connection of the load. It writes requests as bytes and parses only the status and
//! the length of an answer: the load runs on the machine that it measures, so it must be cheap. The
//! figures are in docs/decisions/0012-bench-keeps-its-own-http-connection.md.

use std::io;

use bytes::BytesMut;
use evenkeel_http::{ByteStream, Dialler};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Duration, timeout},
};

const HEADERS_MAX: usize = 32;
const HEAD_BYTES_MAX: usize = 16 << 10;
const ANSWER_BYTES_MAX: usize = 64 << 20;

pub(crate) struct BenchConnection {
    stream: Box<dyn ByteStream>,
    /// The answer that is being read. With one request in flight there's never more.
    buffer: BytesMut,
    ends: bool,
}

/// A site's answer.
pub(crate) struct RawResponse<'a> {
    pub(crate) status: u16,
    pub(crate) body: &'a [u8],
}

/// A parsed head.
struct ResponseHead {
    status: u16,
    bytes: usize,
    body_bytes: usize,
    ends: bool,
}

impl BenchConnection {
    pub(crate) async fn open(dialler: &Dialler) -> io::Result<Self> {
        let stream = dialler.dial().await?;
        Ok(Self { stream, buffer: BytesMut::with_capacity(4 << 10), ends: false })
    }

    /// Whether the site announced that it closes the connection.
    pub(crate) fn will_close(&self) -> bool {
        self.ends
    }

    /// Sends a request and reads its answer.
    pub(crate) async fn exchange(
        &mut self,
        request: &[u8],
        patience: Duration,
    ) -> io::Result<RawResponse<'_>> {
        let exchanged = timeout(patience, self.exchange_without_timeout(request)).await;
        let head = exchanged.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        let body = &self.buffer[head.bytes..head.bytes + head.body_bytes];
        Ok(RawResponse { status: head.status, body })
    }

    async fn exchange_without_timeout(&mut self, request: &[u8]) -> io::Result<ResponseHead> {
        self.buffer.clear();
        self.stream.write_all(request).await?;
        // TLS buffers writes until they're flushed.
        self.stream.flush().await?;
        let head = loop {
            self.read_more().await?;
            if let Some(head) = read_head(&self.buffer)? {
                break head;
            }
        };
        let whole = head.bytes + head.body_bytes;
        self.buffer.reserve(whole.saturating_sub(self.buffer.len()));
        while self.buffer.len() < whole {
            self.read_more().await?;
        }
        if self.buffer.len() > whole {
            return Err(not_understood("bytes follow it"));
        }
        self.ends = head.ends;
        Ok(head)
    }

    async fn read_more(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

/// The head at the beginning of the bytes; `None` while it's incomplete.
fn read_head(bytes: &[u8]) -> io::Result<Option<ResponseHead>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let head_bytes = match response.parse(bytes).map_err(not_understood)? {
        httparse::Status::Complete(head_bytes) => head_bytes,
        httparse::Status::Partial if bytes.len() > HEAD_BYTES_MAX => {
            return Err(not_understood("its head has no end"));
        }
        httparse::Status::Partial => return Ok(None),
    };
    let value = |name: &str| {
        let found = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        found.map(|header| header.value)
    };
    let length = value("content-length").and_then(|value| std::str::from_utf8(value).ok());
    let body_bytes = length
        .and_then(|length| length.parse().ok())
        .filter(|length| *length <= ANSWER_BYTES_MAX)
        .ok_or_else(|| not_understood("it has no usable content-length"))?;
    let status = response.code.ok_or_else(|| not_understood("it has no status"))?;
    let ends = value("connection").is_some_and(|value| value.eq_ignore_ascii_case(b"close"));
    Ok(Some(ResponseHead { status, bytes: head_bytes, body_bytes, ends }))
}

fn not_understood(why: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("an answer isn't understood: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &[u8] =
        b"HTTP/1.1 201 Created\r\ncontent-type: application/json\r\nContent-Length: 2\r\n\r\n{}";

    #[test]
    fn a_head_is_read_once_it_is_whole() {
        for end in 0..WHOLE.len() - 2 {
            assert!(read_head(&WHOLE[..end]).expect("nothing wrong yet").is_none(), "{end}");
        }
        let head = read_head(WHOLE).expect("readable").expect("whole");
        assert_eq!((head.status, head.bytes, head.body_bytes), (201, WHOLE.len() - 2, 2));
        assert!(!head.ends);
        let closing = b"HTTP/1.1 503 x\r\nconnection: Close\r\ncontent-length: 0\r\n\r\n";
        assert!(read_head(closing).expect("readable").expect("whole").ends);
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        for bytes in [
            &b"SSH-2.0-OpenSSH\r\n"[..],
            b"HTTP/1.1 200 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: 999999999999\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        ] {
            assert!(read_head(bytes).is_err(), "{}", String::from_utf8_lossy(bytes));
        }
    }
}
