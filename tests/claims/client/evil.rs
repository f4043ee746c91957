//! A server that has a member's certificate and does to each request what it is told.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use colis::{
    client::{ClientOptions, PeerClient},
    server::Gate as _,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use testkit::server::{
    PATIENCE,
    pki::{Circle, Identity, TestGate, Validity},
};

/// What a request gets.
pub(crate) enum Act {
    /// An answer, as it goes over the wire.
    Answer(Vec<u8>),
    /// The beginning of an answer; then the connection is cut.
    Cut(Vec<u8>),
    /// The beginning of an answer, then nothing.
    Stall(Vec<u8>),
    /// The beginning of an answer, then these bytes again and again.
    Endless(Vec<u8>, &'static [u8]),
    /// The beginning of an answer, then a byte now and then.
    Drip(Vec<u8>, Duration),
    /// The body of the request is taken slowly: a piece, a pause, and so on. Then an answer.
    SlowlyTaken(Duration, Vec<u8>),
}

pub(crate) struct Evil {
    pub(crate) port: u16,
    circle: Arc<Circle>,
    member: Identity,
    requests: Arc<AtomicUsize>,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

type Script = Arc<Mutex<VecDeque<Act>>>;

impl Evil {
    /// Answers requests with `acts`, one after the other; who asks more often is hung up on.
    pub(crate) async fn start(acts: impl IntoIterator<Item = Act>) -> Self {
        let circle = Circle::new("test circle");
        let own = circle.issue("evil", Validity::Now);
        let gate = TestGate {
            circle: circle.clone(),
            own,
            roles: Arc::default(),
            rights: Arc::default(),
        };
        let acceptor = TlsAcceptor::from(gate.server_config());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let script: Script = Arc::new(Mutex::new(acts.into_iter().collect()));
        let (requests, connections) = <(Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
        let (counted, accepted) = (requests.clone(), connections.clone());
        let task = tokio::spawn(async move {
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                accepted.fetch_add(1, Ordering::SeqCst);
                let (acceptor, script) = (acceptor.clone(), script.clone());
                let counted = counted.clone();
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(tcp).await {
                        let _ = serve(stream, &script, &counted).await;
                    }
                });
            }
        });
        Self {
            port,
            member: circle.issue("member", Validity::Now),
            circle,
            requests,
            connections,
            task,
        }
    }

    /// A client of it, which has little patience, and tries again `retries` times.
    pub(crate) fn client(&self, retries: usize) -> PeerClient {
        let address = format!("127.0.0.1:{}", self.port).parse().unwrap();
        let tls = self.circle.client_config(Some(&self.member));
        PeerClient::new(address, tls, hasty(retries)).unwrap()
    }

    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Evil {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Options for tests: a stall is found out soon, and a busy machine is none.
pub(crate) fn hasty(retries: usize) -> ClientOptions {
    ClientOptions {
        idle_timeout: PATIENCE / 10,
        retries,
        pause: (Duration::from_millis(1), Duration::from_millis(5)),
        ..ClientOptions::default()
    }
}

/// An answer with a length.
pub(crate) fn answer(status: &str, media_type: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut answer = head(status, media_type, body.len());
    answer.extend_from_slice(body);
    answer
}

/// The head of an answer that declares `length` bytes.
pub(crate) fn head(status: &str, media_type: &str, length: usize) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\ncontent-type: {media_type}\r\ncontent-length: {length}\r\n\r\n")
        .into_bytes()
}

async fn serve(
    mut stream: TlsStream<TcpStream>,
    script: &Script,
    requests: &AtomicUsize,
) -> std::io::Result<()> {
    while let Some((length, mut early)) = read_head(&mut stream).await? {
        requests.fetch_add(1, Ordering::SeqCst);
        let Some(act) = script.lock().unwrap().pop_front() else {
            return Ok(());
        };
        let pause = match &act {
            Act::SlowlyTaken(pause, _) => *pause,
            _ => Duration::ZERO,
        };
        while early < length {
            let mut piece = vec![0; (128 << 10).min(length - early)];
            stream.read_exact(&mut piece).await?;
            early += piece.len();
            tokio::time::sleep(pause).await;
        }
        match act {
            Act::Answer(bytes) | Act::SlowlyTaken(_, bytes) => stream.write_all(&bytes).await?,
            Act::Cut(bytes) => {
                stream.write_all(&bytes).await?;
                return stream.flush().await;
            }
            Act::Stall(bytes) => {
                stream.write_all(&bytes).await?;
                stream.flush().await?;
                let _ = stream.read_to_end(&mut Vec::new()).await;
                return Ok(());
            }
            Act::Endless(bytes, again) => {
                stream.write_all(&bytes).await?;
                loop {
                    stream.write_all(again).await?;
                }
            }
            Act::Drip(bytes, every) => {
                stream.write_all(&bytes).await?;
                loop {
                    stream.write_all(b" ").await?;
                    stream.flush().await?;
                    tokio::time::sleep(every).await;
                }
            }
        }
        stream.flush().await?;
    }
    Ok(())
}

/// Reads a request up to its body. Gives the length of that, and how much of it came already.
async fn read_head(
    stream: &mut (impl AsyncRead + Unpin),
) -> std::io::Result<Option<(usize, usize)>> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .map_or(0, |length| length.parse().unwrap());
            return Ok(Some((length, bytes.len() - end - 4)));
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    }
}
