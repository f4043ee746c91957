//! A serving peer, members of its circle as raw connections, and what its process uses.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use colis::{
    client::{ClientOptions, PeerClient},
    tls::{self, CertsDir, Circle, CircleHandle, Expect, Identity, Seen, ca},
};
use rustix::process::{Resource, getrlimit, setrlimit};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    runtime::{Builder, Runtime},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use testkit::{Homes, Serving};

/// A peer `a`, which has the circle's key, and what is needed to call it.
pub(crate) struct Site {
    pub(crate) homes: Homes,
    pub(crate) serving: Serving,
    circle: CircleHandle,
}

/// A member of the circle: how it calls.
#[derive(Clone)]
pub(crate) struct Member(Arc<ClientConfig>);

impl Site {
    pub(crate) fn new() -> Self {
        raise_descriptor_limit();
        let homes = Homes::new(&[]);
        let serving = homes.serve("a", &["--inbox", "off"]);
        Self::around(homes, serving)
    }

    /// What is there already.
    pub(crate) fn around(homes: Homes, serving: Serving) -> Self {
        let certs = CertsDir::new(homes.home("a").join("certs"));
        Self {
            circle: CircleHandle::new(Circle::load(&certs).unwrap()),
            homes,
            serving,
        }
    }

    /// A new member, made without a process of its own.
    pub(crate) fn member(&self, name: &str) -> Member {
        let certs = |home: &str| CertsDir::new(self.homes.home(home).join("certs"));
        fs::create_dir_all(self.homes.home(name)).unwrap();
        let options = ca::CertificateOptions::default();
        let identity = ca::issue(&certs("a"), name, &certs(name), &options).unwrap();
        Member(Arc::new(self.config(&identity)))
    }

    pub(crate) fn members(&self, what: &str, count: usize) -> Vec<Member> {
        let names = (0..count).map(|number| format!("{what}{number}"));
        names.map(|name| self.member(&name)).collect()
    }

    fn config(&self, identity: &Identity) -> ClientConfig {
        tls::client_config(identity, &self.circle, Expect::default(), &Seen::default()).unwrap()
    }

    /// A client as programs have it, that never tries again.
    pub(crate) fn client(&self, member: &Member) -> PeerClient {
        let options = ClientOptions {
            // As the program does once its connection is gone.
            retries: 1,
            ..ClientOptions::default()
        };
        let address = self.serving.to().parse().unwrap();
        PeerClient::new(address, ClientConfig::clone(&member.0), options).unwrap()
    }

    /// A client for what no program of ours asks.
    pub(crate) fn http(&self, member: &Member, from: Ipv4Addr) -> reqwest::Client {
        reqwest::Client::builder()
            .local_address(IpAddr::V4(from))
            .tls_backend_preconfigured(ClientConfig::clone(&member.0))
            .no_proxy()
            .build()
            .unwrap()
    }

    /// Bytes of memory of the peer's process.
    pub(crate) fn resident(&self) -> u64 {
        memory(self.serving.id(), "VmRSS:")
    }

    /// The most that they ever were.
    pub(crate) fn peak(&self) -> u64 {
        memory(self.serving.id(), "VmHWM:")
    }

    /// Time that the processors gave to the peer's process.
    pub(crate) fn worked(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.serving.id())).unwrap();
        let fields = stat.rsplit(") ").next().unwrap().split_whitespace();
        let ticks: u64 = fields
            .skip(11)
            .take(2)
            .map(|t| t.parse::<u64>().unwrap())
            .sum();
        // Linux counts them in hundredths of a second, whatever its clock does.
        Duration::from_millis(ticks * 10)
    }

    /// Open descriptors of the peer's process.
    pub(crate) fn descriptors(&self) -> usize {
        let folder = format!("/proc/{}/fd", self.serving.id());
        fs::read_dir(folder).unwrap().count()
    }

    /// How many sockets it has: the peer opens and closes files of its own meanwhile.
    pub(crate) fn sockets(&self) -> usize {
        let folder = format!("/proc/{}/fd", self.serving.id());
        let is_socket = |link: PathBuf| link.to_string_lossy().starts_with("socket:");
        fs::read_dir(folder)
            .unwrap()
            .filter(|entry| fs::read_link(entry.as_ref().unwrap().path()).is_ok_and(is_socket))
            .count()
    }
}

impl Member {
    /// A connection through the handshake, from `source`.
    pub(crate) async fn connect(
        &self,
        source: Ipv4Addr,
        peer: SocketAddr,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        self.over(connect_from(source, peer, None).await?).await
    }

    pub(crate) async fn over(&self, tcp: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        let name = ServerName::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST).into());
        let tls = TlsConnector::from(self.0.clone());
        tls.connect(name, tcp).await
    }
}

/// A TCP connection from an address of loopback, with a receive buffer of so many bytes.
pub(crate) async fn connect_from(
    source: Ipv4Addr,
    peer: SocketAddr,
    buffer: Option<u32>,
) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    if let Some(bytes) = buffer {
        socket.set_recv_buffer_size(bytes)?;
    }
    socket.bind((source, 0).into())?;
    socket.connect(peer).await
}

/// The address of loopback with this number: 127.1.0.1 and so on.
pub(crate) fn source(number: usize) -> Ipv4Addr {
    let [_, a, b, c] = u32::try_from(number + 1).unwrap().to_be_bytes();
    Ipv4Addr::new(127, 1 + a, b, c)
}

/// Asks for `path` and reads the whole answer, which says how long it is. Gives its status.
pub(crate) async fn get(tls: &mut TlsStream<TcpStream>, path: &str) -> std::io::Result<u16> {
    let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
    tls.write_all(head.as_bytes()).await?;
    let mut answer = Vec::with_capacity(1024);
    loop {
        if tls.read_buf(&mut answer).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(status) = whole(&answer) {
            return Ok(status);
        }
    }
}

/// The status of an answer that has arrived to its end.
fn whole(answer: &[u8]) -> Option<u16> {
    let text = std::str::from_utf8(answer).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut fields = head.lines().filter_map(|line| line.split_once(": "));
    let (_, length) = fields.find(|(name, _)| *name == "content-length")?;
    (body.len() >= length.parse().ok()?).then(|| head[9..12].parse().unwrap())
}

fn memory(process: u32, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib << 10
}

/// Where the bad ones run: they yield to the peer and to the good ones, as if they had a machine of their own.
pub(crate) fn background() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .on_thread_start(|| {
            rustix::process::nice(10).unwrap();
        })
        .build()
        .unwrap()
}

/// Until `condition` holds; gives how long that took, at most two minutes.
pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) -> Duration {
    let start = tokio::time::Instant::now();
    while !condition() {
        let waited = start.elapsed();
        assert!(waited < Duration::from_secs(120), "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    start.elapsed()
}

fn raise_descriptor_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
}

pub(crate) fn mib(bytes: u64) -> u64 {
    bytes >> 20
}
