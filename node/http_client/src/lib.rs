//! The HTTP/1.1 client of `wallet`, `bench`, `admin` and the testnet: one server, a pool of kept
//! connections, bounded answers, bounded time.
//!
//! It repeats a request only if an idle connection turned out to be closed before the request was
//! sent. It never follows a redirect and never interprets a status.

mod address;
mod client;
mod message;
mod stream;

pub use address::HttpAddress;
pub use client::{ExchangeError, HttpClient};
pub use hyper::{
    HeaderMap, Method, Response,
    body::Incoming,
    header::{self, HeaderValue},
};
pub use message::{HttpRequest, HttpResponse};
pub use stream::{ByteStream, Dialler, TlsTrust};
