//! One QUIC connection, at either end of either port.

use std::{any::Any, io, net::SocketAddr};

use quinn::{Connection, ConnectionError, TransportErrorCode, VarInt};

use super::frames::{FrameReceiver, FrameSender};

/// The close code of a normal close.
const DONE: VarInt = VarInt::from_u32(0);
/// The most bytes of the other side's close reason that are logged.
const REASON_BYTES_MAX: usize = 200;

/// A connection that closes, and frees its slot, on drop.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) connection: Connection,
    _place: Option<Place>,
}

/// What a connection occupies until it ends: a slot of any pool.
pub(crate) type Place = Box<dyn Any + Send + Sync>;

impl Link {
    pub(crate) fn new(connection: Connection, place: Option<Place>) -> Self {
        Self { connection, _place: place }
    }

    pub(crate) fn close(&self, why: &str) {
        self.connection.close(DONE, why.as_bytes());
    }

    pub(crate) async fn open_stream(&self) -> io::Result<(FrameSender, FrameReceiver)> {
        let (send, receive) = self.connection.open_bi().await?;
        Ok((FrameSender::new(send), FrameReceiver::new(receive)))
    }

    pub(crate) fn remote_address(&self) -> SocketAddr {
        let address = self.connection.remote_address();
        SocketAddr::new(address.ip().to_canonical(), address.port())
    }

    pub(crate) fn datagrams_received(&self) -> u64 {
        self.connection.stats().udp_rx.datagrams
    }

    pub(crate) async fn wait_closed(&self) -> String {
        explain_close(&self.connection.closed().await)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.connection.close_reason().is_some()
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // No effect if it is already closed.
        self.close("");
    }
}

/// Describes for people why a connection ended. The other side's own text is truncated and stripped
/// of control characters, since it may be hostile.
pub(crate) fn explain_close(error: &ConnectionError) -> String {
    match error {
        ConnectionError::TimedOut => "nothing received for the idle time".into(),
        ConnectionError::LocallyClosed => "closed by this side".into(),
        ConnectionError::Reset => "the other side has restarted".into(),
        ConnectionError::ApplicationClosed(close) => {
            format!("closed by the other side: {}", printable_reason(&close.reason))
        }
        ConnectionError::ConnectionClosed(close)
            if close.error_code == TransportErrorCode::CONNECTION_REFUSED =>
        {
            "the other side is full or shutting down".into()
        }
        ConnectionError::ConnectionClosed(close) => match explain_alert(close.error_code) {
            Some(alert) => format!("refused by the other side: {alert}"),
            None => {
                format!(
                    "refused by the other side: {}: {}",
                    close.error_code,
                    printable_reason(&close.reason)
                )
            }
        },
        ConnectionError::TransportError(error) => handshake_error(&error.reason).into(),
        other => other.to_string(),
    }
}

/// Describes a TLS alert (RFC 8446 §6), which is carried in QUIC's error codes (RFC 9001 §4.8).
fn explain_alert(code: TransportErrorCode) -> Option<String> {
    let number = u64::from(code).checked_sub(0x100).filter(|number| *number <= 0xff)?;
    let text = match number {
        42 | 43 | 46 => "our certificate isn't accepted there (another cluster's?)",
        45 => "our certificate has expired, or isn't valid yet",
        48 => "our certificate is signed by an authority that isn't trusted there",
        116 => "a certificate is needed there",
        120 => "another protocol is expected there",
        other => return Some(format!("tls alert {other}")),
    };
    Some(text.into())
}

/// Describes an error text of rustls about a certificate, without the names of its types.
fn handshake_error(reason: &str) -> &str {
    let certificate = reason.strip_prefix("invalid peer certificate: ").unwrap_or(reason);
    let ours = certificate.strip_prefix("Other(OtherError(").and_then(|own| own.strip_suffix("))"));
    match ours.unwrap_or(certificate) {
        "UnknownIssuer" | "BadSignature" => {
            "its certificate is signed by an authority that isn't trusted here (another cluster's?)"
        }
        "Expired" => "its certificate has expired",
        "NotValidYet" => "its certificate isn't valid yet",
        other => other,
    }
}

fn printable_reason(bytes: &[u8]) -> String {
    let shown = &bytes[..bytes.len().min(REASON_BYTES_MAX)];
    let text: String =
        String::from_utf8_lossy(shown).chars().filter(|letter| !letter.is_control()).collect();
    if text.is_empty() { "no reason given".into() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_sides_words_are_cut_and_stripped() {
        assert_eq!(printable_reason(b"\x1b[31mred\r\n"), "[31mred");
        assert_eq!(printable_reason(&[b'a'; 4_000]).len(), REASON_BYTES_MAX);
        assert_eq!(printable_reason(b"\0"), "no reason given");
    }
}
