//! Servers that are not as they should be: real TLS with a member's certificate and answers of the test's choice, or
//! plain bytes.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    thread,
    time::Duration,
};

use colis::tls::{self, CertsDir, Circle, CircleHandle, Identity};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio_rustls::TlsAcceptor;

/// What is answered to one request.
pub(crate) enum Reply {
    /// These bytes.
    Now(Vec<u8>),
    /// The same, later.
    After(Duration, Vec<u8>),
    /// These bytes, one by one.
    Trickle(Duration, Vec<u8>),
    /// Nothing, for ever.
    Never,
}

impl Reply {
    pub(crate) fn json(body: &str) -> Self {
        Self::Now(answer("200 OK", "application/json", "", body))
    }

    /// As [`Reply::json`], with a clock.
    pub(crate) fn dated(body: &str, date: time::OffsetDateTime) -> Self {
        let date = jiff::Timestamp::from_second(date.unix_timestamp()).unwrap();
        let date = date
            .strftime("date: %a, %d %b %Y %H:%M:%S GMT\r\n")
            .to_string();
        Self::Now(answer("200 OK", "application/json", &date, body))
    }

    pub(crate) fn nothing() -> Self {
        let body = r#"{"type":"urn:colis:problem:not-the-circle","code":"not-the-circle","title":"Not Found","status":404,"detail":"x"}"#;
        Self::Now(answer(
            "404 Not Found",
            "application/problem+json",
            "",
            body,
        ))
    }
}

pub(crate) fn answer(status: &str, kind: &str, more: &str, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\n{more}content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// A peer in a thread of its own, which lives as long as the test.
pub(crate) struct Fake {
    address: SocketAddr,
    _running: tokio::runtime::Runtime,
}

impl Fake {
    /// Serves as the member whose certificates these are.
    pub(crate) fn start(
        dir: &CertsDir,
        answers: impl Fn(&str) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let identity = Identity::load(dir).unwrap();
        let circle = CircleHandle::new(Circle::load(dir).unwrap());
        let acceptor = TlsAcceptor::from(tls::server_config(&identity, &circle).unwrap());
        let running = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .unwrap();
        let listener = running
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
            .unwrap();
        let address = listener.local_addr().unwrap();
        let answers = Arc::new(answers);
        running.spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (acceptor, answers) = (acceptor.clone(), answers.clone());
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(tcp).await {
                        let _ = converse(stream, &*answers).await;
                    }
                });
            }
        });
        Self {
            address,
            _running: running,
        }
    }

    pub(crate) fn to(&self) -> String {
        self.address.to_string()
    }
}

async fn converse(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    answers: &(impl Fn(&str) -> Reply + ?Sized),
) -> std::io::Result<()> {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        match answers(head.split(' ').nth(1).unwrap_or_default()) {
            Reply::Now(bytes) => stream.write_all(&bytes).await?,
            Reply::After(time, bytes) => {
                tokio::time::sleep(time).await;
                stream.write_all(&bytes).await?;
            }
            Reply::Trickle(pause, bytes) => {
                for byte in bytes {
                    stream.write_all(&[byte]).await?;
                    stream.flush().await?;
                    tokio::time::sleep(pause).await;
                }
            }
            Reply::Never => std::future::pending().await,
        }
        stream.flush().await?;
    }
}

/// Accepts connections and does with each what `with` does, in a thread.
pub(crate) fn plain(with: impl Fn(TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for tcp in listener.incoming().flatten() {
            with(tcp);
        }
    });
    address.to_string()
}

/// A listener that reads a little, says `text` and hangs up.
pub(crate) fn says(text: &'static [u8]) -> String {
    plain(move |mut tcp| {
        let mut some = [0; 64];
        let _ = tcp.read(&mut some);
        let _ = tcp.write_all(text);
        // Hanging up on what is not read yet would take back what was said.
        let _ = tcp.shutdown(Shutdown::Write);
        let _ = tcp.read_to_end(&mut Vec::new());
    })
}
