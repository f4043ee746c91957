//! Lines between a peer and whoever reads from it: of one rate for all connections together, or to a peer that lies.

use std::{
    io,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use colis::tls::{self, CertsDir, Circle, CircleHandle, Expect, Identity};
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, split},
    net::{TcpListener, TcpStream},
    time::{Instant, sleep_until},
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// What passes at once.
const PIECE: usize = 16 << 10;
/// The byte of an answer that a liar changes: in every chunk, and in no head.
const WRONG_BYTE: u64 = 50_000;

/// A token bucket in front of a peer, for what comes from it.
pub(crate) struct Line {
    pub(crate) address: SocketAddr,
    bucket: Arc<Bucket>,
}

struct Bucket {
    rate: u64,
    free_at: Mutex<Instant>,
    passed: AtomicU64,
}

impl Line {
    /// To `peer`, with `rate` bytes a second for all its connections together.
    pub(crate) async fn start(peer: SocketAddr, rate: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let bucket = Arc::new(Bucket {
            rate,
            free_at: Mutex::new(Instant::now()),
            passed: AtomicU64::new(0),
        });
        let shared = bucket.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, peer, shared.clone()));
            }
        });
        Self { address, bucket }
    }

    /// Bytes that came from the peer.
    pub(crate) fn passed(&self) -> u64 {
        self.bucket.passed.load(Ordering::SeqCst)
    }
}

impl Bucket {
    async fn take(&self, bytes: usize) {
        let takes = Duration::from_nanos(bytes as u64 * 1_000_000_000 / self.rate);
        let at = {
            let mut free_at = self.free_at.lock().unwrap();
            *free_at = Instant::now().max(*free_at) + takes;
            *free_at
        };
        sleep_until(at).await;
        self.passed.fetch_add(bytes as u64, Ordering::SeqCst);
    }
}

async fn pass(client: TcpStream, peer: SocketAddr, bucket: Arc<Bucket>) -> io::Result<()> {
    let peer = TcpStream::connect(peer).await?;
    client.set_nodelay(true)?;
    peer.set_nodelay(true)?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_peer, mut to_peer) = peer.into_split();
    let up = async {
        tokio::io::copy(&mut from_client, &mut to_peer).await?;
        to_peer.shutdown().await
    };
    let down = async {
        let mut piece = vec![0; PIECE];
        loop {
            let read = from_peer.read(&mut piece).await?;
            if read == 0 {
                return to_client.shutdown().await;
            }
            bucket.take(read).await;
            to_client.write_all(&piece[..read]).await?;
        }
    };
    tokio::try_join!(up, down).map(drop)
}

/// A peer with the certificates in `certs`, which changes a bit of every chunk that it gives. Gives its address.
pub(crate) async fn lying(peer: SocketAddr, certs: &Path) -> SocketAddr {
    let dir = CertsDir::new(certs.to_owned());
    let identity = Identity::load(&dir).unwrap();
    let circle = CircleHandle::new(Circle::load(&dir).unwrap());
    let server = tls::server_config(&identity, &circle).unwrap();
    let client =
        tls::client_config(&identity, &circle, Expect::default(), &Default::default()).unwrap();
    let (acceptor, connector) = (
        TlsAcceptor::from(server),
        TlsConnector::from(Arc::new(client)),
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let (acceptor, connector) = (acceptor.clone(), connector.clone());
            tokio::spawn(async move {
                let reader = acceptor.accept(tcp).await?;
                let tcp = TcpStream::connect(peer).await?;
                let name = ServerName::IpAddress(peer.ip().into());
                let truth = connector.connect(name, tcp).await?;
                lie(reader, truth).await
            });
        }
    });
    address
}

async fn lie(
    reader: impl AsyncRead + AsyncWrite,
    truth: impl AsyncRead + AsyncWrite,
) -> io::Result<()> {
    let ((mut from_reader, mut to_reader), (mut from_truth, mut to_truth)) =
        (split(reader), split(truth));
    // Of the answer to the newest question.
    let answered = AtomicU64::new(0);
    let up = async {
        let mut piece = vec![0; PIECE];
        loop {
            let read = from_reader.read(&mut piece).await?;
            if read == 0 {
                return to_truth.shutdown().await;
            }
            answered.store(0, Ordering::SeqCst);
            to_truth.write_all(&piece[..read]).await?;
            to_truth.flush().await?;
        }
    };
    let down = async {
        let mut piece = vec![0; PIECE];
        loop {
            let read = from_truth.read(&mut piece).await?;
            if read == 0 {
                return to_reader.shutdown().await;
            }
            let before = answered.fetch_add(read as u64, Ordering::SeqCst);
            if (before..before + read as u64).contains(&WRONG_BYTE) {
                piece[usize::try_from(WRONG_BYTE - before).unwrap()] ^= 1;
            }
            to_reader.write_all(&piece[..read]).await?;
            to_reader.flush().await?;
        }
    };
    tokio::try_join!(up, down).map(drop)
}
