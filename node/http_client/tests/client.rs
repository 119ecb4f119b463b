//! The client against servers that are written out byte for byte.

#![allow(clippy::unwrap_used, reason = "a test that fails says so by panicking")]

use std::{
    io,
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use evenkeel_http::{Dialler, ExchangeError, HttpClient, HttpRequest, Method};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixListener},
    task::JoinHandle,
};

const PATIENCE: Duration = Duration::from_secs(20);
const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn get(path: &str) -> HttpRequest {
    HttpRequest::new(Method::GET, path)
}

/// Reads one request without a body.
async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => bytes.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(bytes).unwrap()
}

/// Answers requests with `answer` on one connection until it ends; returns their heads.
async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, answer: &[u8]) -> Vec<String> {
    let mut heads = Vec::new();
    loop {
        let head = read_head(&mut stream).await;
        if head.is_empty() {
            return heads;
        }
        heads.push(head);
        stream.write_all(answer).await.unwrap();
    }
}

/// Accepts one connection and does this with it.
fn accept_one<F>(
    listener: TcpListener,
    act: impl FnOnce(TcpStream) -> F + Send + 'static,
) -> JoinHandle<F::Output>
where
    F: Future<Output: Send + 'static> + Send,
{
    tokio::spawn(async move { act(listener.accept().await.unwrap().0).await })
}

#[tokio::test]
async fn exchanges_share_a_connection_and_requests_say_what_they_should() {
    let (listener, address) = listen().await;
    let served = accept_one(listener, |stream| serve(stream, OK));
    let client = HttpClient::new(Dialler::to_port(address));
    for path in ["/first?a=b", "/second"] {
        let request = get(path).header("x-own", "1").unwrap();
        let answer = client.exchange(request, PATIENCE).await.unwrap();
        assert_eq!((answer.status, &answer.body[..]), (200, &b"{}"[..]));
        assert_eq!(answer.header("content-length"), Some("2"));
        // The connection goes back to the pool in a task of its own.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    drop(client);
    let heads = served.await.unwrap();
    let expected = |path| format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nx-own: 1\r\n\r\n");
    assert_eq!(heads, [expected("/first?a=b"), expected("/second")]);
}

#[tokio::test]
async fn a_unix_socket_is_a_server_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let served = tokio::spawn(async move { serve(listener.accept().await.unwrap().0, OK).await });
    let client = HttpClient::new(Dialler::to_socket(&path));
    let request = HttpRequest::new(Method::POST, "/verify").json("");
    assert!(client.exchange(request, PATIENCE).await.unwrap().is_success());
    drop(client);
    let head = served.await.unwrap().remove(0);
    assert!(head.starts_with("POST /verify HTTP/1.1\r\nhost: admin\r\n"), "{head}");
    assert!(head.contains("content-type: application/json\r\n"), "{head}");

    let missing = HttpClient::new(Dialler::to_socket(&folder.path().join("none")));
    let error = missing.exchange(get("/"), PATIENCE).await.unwrap_err();
    assert!(
        matches!(&error, ExchangeError::Connect(error) if error.kind() == io::ErrorKind::NotFound),
        "{error:?}"
    );
}

#[tokio::test]
async fn an_idle_connection_that_was_closed_is_replaced() {
    let (listener, address) = listen().await;
    let served = tokio::spawn(async move {
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_head(&mut stream).await;
            stream.write_all(OK).await.unwrap();
        }
    });
    let client = HttpClient::new(Dialler::to_port(address));
    for _ in 0..2 {
        assert_eq!(client.exchange(get("/"), PATIENCE).await.unwrap().status, 200);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    served.await.unwrap();
}

#[tokio::test]
async fn a_request_that_may_have_arrived_is_told_from_one_that_has_not() {
    let refused = {
        let (_, address) = listen().await;
        HttpClient::new(Dialler::to_port(address))
    };
    let sent = AtomicBool::new(false);
    let error = refused.exchange_watched(get("/"), PATIENCE, &sent).await.unwrap_err();
    assert!(error.is_unsent() && !sent.load(Ordering::Relaxed), "{error:?}");

    let (listener, address) = listen().await;
    let served = accept_one(listener, |mut stream| async move { read_head(&mut stream).await });
    let client = HttpClient::new(Dialler::to_port(address));
    let error = client.exchange_watched(get("/"), PATIENCE, &sent).await.unwrap_err();
    assert!(!error.is_unsent() && sent.load(Ordering::Relaxed), "{error:?}");
    served.await.unwrap();

    let (_listener, address) = listen().await;
    let (silent, sent) = (HttpClient::new(Dialler::to_port(address)), AtomicBool::new(false));
    let patience = Duration::from_millis(100);
    let error = silent.exchange_watched(get("/"), patience, &sent).await.unwrap_err();
    assert!(!error.is_unsent() && sent.load(Ordering::Relaxed), "{error:?}");
    assert_eq!(error.to_string(), "no answer within 100ms");
}

#[tokio::test]
async fn an_answer_without_an_end_is_cut_off() {
    let (listener, address) = listen().await;
    let served = accept_one(listener, |mut stream| async move {
        read_head(&mut stream).await;
        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 999999999999\r\n\r\n";
        stream.write_all(head).await.unwrap();
        let part = vec![0; 1 << 20];
        let mut written = 0_usize;
        while stream.write_all(&part).await.is_ok() {
            written += part.len();
        }
        written
    });
    let client = HttpClient::new(Dialler::to_port(address));
    let error = client.exchange(get("/"), PATIENCE).await.unwrap_err();
    assert!(!error.is_unsent(), "{error:?}");
    let written = served.await.unwrap();
    assert!((64 << 20..80 << 20).contains(&written), "{written}");
}
