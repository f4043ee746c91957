//! A member that says over HTTP whatever it likes, with the certificate of a home.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use colis::{
    manifest::Signer as _,
    tls::{Circle, CircleHandle, Identity, server_config_for},
    wire::{media, route},
};
use serde_json::json;
use testkit::Homes;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    runtime::Runtime,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::circle::certs;

/// What a path gets.
pub(crate) enum Reply {
    /// A body of that media type.
    Body(&'static str, Vec<u8>),
    /// A MiB is promised, and comes as a blank from time to time.
    Trickle,
    /// No answer, while the connection is open.
    Silence,
    /// It is not there.
    Nothing,
    /// Later, in two seconds.
    Later,
    /// The body of the request is read at 64 bytes a second.
    TakenSlowly,
}

/// So many bytes of a body are read at a time.
const SLOWLY: usize = 64;
const LATER: &[u8] =
    br#"{"type":"urn:colis:problem:busy","code":"busy","title":"","status":503,"detail":"later"}"#;
const STORED: &[u8] = br#"{"result":"stored"}"#;

/// It hangs up when it is dropped.
pub(crate) struct Hostile {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    _runtime: Runtime,
}

impl Hostile {
    /// Answers at `address` with the certificate of `home`.
    pub(crate) fn start(
        homes: &Homes,
        home: &str,
        address: SocketAddr,
        reply: impl Fn(&str) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let dir = certs(homes, home);
        let identity = Identity::load(&dir).unwrap();
        let circle = CircleHandle::new(Circle::load(&dir).unwrap());
        let config = server_config_for(&identity, &circle, Arc::new(|_, _| true)).unwrap();
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind(address)).unwrap();
        let address = listener.local_addr().unwrap();
        let (reply, asked) = (Arc::new(reply), Arc::<Mutex<Vec<String>>>::default());
        let noted = asked.clone();
        runtime.spawn(async move {
            let acceptor = TlsAcceptor::from(config);
            while let Ok((tcp, _)) = listener.accept().await {
                let (acceptor, reply, noted) = (acceptor.clone(), reply.clone(), noted.clone());
                tokio::spawn(async move {
                    if let Ok(mut stream) = acceptor.accept(tcp).await {
                        let _ = answer(&mut stream, &*reply, &noted).await;
                    }
                });
            }
        });
        Self {
            address,
            asked,
            _runtime: runtime,
        }
    }

    /// Answers at `address` as `home`: who that is, and that it takes every offer. Of what else is asked `reply` may say something, and
    /// of that too.
    pub(crate) fn member(
        homes: &Homes,
        home: &str,
        address: SocketAddr,
        reply: impl Fn(&str) -> Option<Reply> + Send + Sync + 'static,
    ) -> Self {
        let identity = Identity::load(&certs(homes, home)).unwrap();
        let bundle = identity.bundle().unwrap();
        let limits = json!({
            "chunk_bytes": 64 << 20, "manifest_bytes": 8 << 20, "missing_ids": 10_000, "requests": 32,
        });
        let who = json!({
            "bundle": str::from_utf8(bundle.envelope()).unwrap(),
            "peer_id": identity.peer_id(),
            "limits": limits,
        });
        Self::start(homes, home, address, move |path| match reply(path) {
            Some(reply) => reply,
            None if path == route::PEER => Reply::Body(media::JSON, who.to_string().into()),
            None if path.starts_with("/v1/offers/") => {
                Reply::Body(media::JSON, br#"{"answer":"accepted"}"#.to_vec())
            }
            None => Reply::Nothing,
        })
    }

    /// How often a path was asked for that begins so.
    pub(crate) fn asked(&self, path: &str) -> usize {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|asked| asked.starts_with(path)).count()
    }
}

/// What a peer answers to that request.
fn media_of(head: &str, path: &str) -> &'static str {
    let is_of_manifest = path.starts_with("/v1/manifests/") && !path.ends_with("/state");
    match head.starts_with("GET ") && is_of_manifest {
        true => media::ENVELOPE,
        false => media::JSON,
    }
}

/// Answers requests until the other side has enough.
async fn answer(
    stream: &mut TlsStream<TcpStream>,
    reply: &(impl Fn(&str) -> Reply + Send + Sync),
    noted: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut read = Vec::new();
    loop {
        let Some(end) = read.windows(4).position(|w| w == b"\r\n\r\n") else {
            if stream.read_buf(&mut read).await? == 0 {
                return Ok(());
            }
            continue;
        };
        let head = String::from_utf8_lossy(&read[..end]).into_owned();
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        read.drain(..end + 4);
        let mut fields = head.lines().filter_map(|line| line.split_once(": "));
        let length = fields.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        let length: usize = length.map_or(0, |(_, length)| length.parse().unwrap());
        let reply = reply(&path);
        for _ in (0..length).step_by(SLOWLY) {
            if matches!(reply, Reply::TakenSlowly) {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            let mut piece = [0; SLOWLY];
            let left = length.saturating_sub(read.len()).min(SLOWLY);
            stream.read_exact(&mut piece[..left]).await?;
            read.extend_from_slice(&piece[..left]);
        }
        read.drain(..length);
        noted.lock().unwrap().push(path.clone());
        let (status, media, length, body) = match reply {
            Reply::Body(media, body) => ("200 OK", media, body.len(), body),
            Reply::Silence => std::future::pending().await,
            Reply::Nothing => ("404 Not Found", "text/plain", 0, Vec::new()),
            Reply::Later => (
                "503 Service Unavailable\r\nretry-after: 2",
                media::PROBLEM,
                LATER.len(),
                LATER.into(),
            ),
            Reply::TakenSlowly => ("201 Created", media::JSON, STORED.len(), STORED.into()),
            Reply::Trickle => ("200 OK", media_of(&head, &path), 1 << 20, Vec::new()),
        };
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: {media}\r\ncontent-length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(&body).await?;
        stream.flush().await?;
        while body.len() < length {
            stream.write_all(b" ").await?;
            stream.flush().await?;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}
