//! A peer that the program serves, and a member of its circle who says over raw TLS whatever it likes.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use colis::{
    id::ChunkId,
    tls::{self, CertsDir, Identity},
    wire::{Code, Problem},
};
use rustls::{
    AlertDescription, ClientConfig, ClientConnection, RootCertStore, SignatureScheme, StreamOwned,
    client::ResolvesClientCert,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use crate::{Homes, Serving, tree};

/// Far longer than anything that a row waits for.
const PATIENCE: Duration = Duration::from_secs(20);

pub type Tls = StreamOwned<ClientConnection, TcpStream>;

/// A circle of `a`, which serves, and `b`, which calls.
pub struct Site {
    pub homes: Homes,
    pub serving: Serving,
}

impl Default for Site {
    /// Its inbox is off, and what is received from its store stays there.
    fn default() -> Self {
        Self::with(&["--inbox", "off", "--keep-opened", "1d"])
    }
}

impl Site {
    /// `a` serves with these flags.
    pub fn with(args: &[&str]) -> Self {
        Self::of(Homes::new(&["b"]), args)
    }

    pub fn of(homes: Homes, args: &[&str]) -> Self {
        let serving = homes.serve("a", args);
        Self { homes, serving }
    }

    /// How `b` calls.
    pub fn member(&self) -> ClientConfig {
        let b = certs(&self.homes, "b");
        shows(&self.homes, vec![certificate(&b)], key(&b))
    }

    pub fn identity(&self, name: &str) -> Identity {
        Identity::load(&certs(&self.homes, name)).unwrap()
    }

    pub fn connect(&self, config: ClientConfig) -> Tls {
        let tcp = TcpStream::connect(self.serving.address).unwrap();
        tcp.set_read_timeout(Some(PATIENCE)).unwrap();
        tcp.set_write_timeout(Some(PATIENCE)).unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let tls = ClientConnection::new(Arc::new(config), name).unwrap();
        StreamOwned::new(tls, tcp)
    }

    /// Says `bytes` as `b` on a connection of its own. Gives what comes back until the peer closes, which it must do.
    pub fn talk(&self, bytes: &[u8]) -> Answer {
        let mut stream = self.connect(self.member());
        // A peer that has heard enough may close before the end.
        let _ = stream.write_all(bytes);
        read_to_close(&mut stream)
    }

    /// The same as another member, or as `a` itself, which is the owner.
    pub fn talk_as(&self, name: &str, bytes: &[u8]) -> Answer {
        let dir = certs(&self.homes, name);
        let config = shows(&self.homes, vec![certificate(&dir)], key(&dir));
        let mut stream = self.connect(config);
        let _ = stream.write_all(bytes);
        read_to_close(&mut stream)
    }

    pub fn get(&self, path: &str) -> Answer {
        self.talk(&request("GET", path, "", b""))
    }

    pub fn put_chunk(&self, bytes: &[u8]) -> (ChunkId, Answer) {
        let id = ChunkId::of(bytes);
        let path = format!("/v1/chunks/{id}");
        (id, self.talk(&request("PUT", &path, "", bytes)))
    }

    /// Where `a` keeps a chunk.
    pub fn path_of(&self, id: ChunkId) -> PathBuf {
        let name = id.to_string();
        self.homes
            .home("a")
            .join("chunks/data")
            .join(&name[..2])
            .join(name)
    }

    /// Everything that `a` stores, and what lies in its `received/`.
    pub fn stored(&self) -> Vec<String> {
        let home = self.homes.home("a");
        let folders = ["chunks/data", "chunks/manifests", "received"];
        folders.iter().flat_map(|f| tree(&home.join(f))).collect()
    }

    /// Each of these is answered by its problem; afterwards nothing was stored, and the peer serves.
    pub fn refuses(&self, inputs: impl IntoIterator<Item = (Vec<u8>, Code)>) {
        let before = self.stored();
        let mut count = 0;
        for (bytes, code) in inputs {
            let said = String::from_utf8_lossy(&bytes[..bytes.len().min(300)]).into_owned();
            self.talk(&bytes).is(code, &said);
            count += 1;
        }
        assert!(count > 0, "nothing was tried");
        assert_eq!(self.stored(), before, "something was written");
        self.is_well();
    }

    /// It answers a good request, and its logs can be read on a terminal.
    pub fn is_well(&self) {
        assert_eq!(self.get("/v1/health").status, 200);
        assert_clean(&self.homes.log("a"));
        let kept = fs::read_dir(self.homes.home("a").join("logs")).unwrap();
        for file in kept.map(|entry| entry.unwrap().path()) {
            assert_clean(&fs::read_to_string(file).unwrap());
        }
    }

    /// The alert that ends a connection made in this way.
    pub fn alert(&self, config: ClientConfig) -> AlertDescription {
        // In TLS 1.3 a client learns that it is refused when it first reads.
        let mut byte = [0];
        let error = self.connect(config).read(&mut byte).unwrap_err();
        let tls = error.get_ref().and_then(|e| e.downcast_ref());
        match tls {
            Some(rustls::Error::AlertReceived(alert)) => *alert,
            other => panic!("no alert: {error}, {other:?}"),
        }
    }
}

/// What came back.
pub struct Answer {
    /// 0 if nothing did.
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn problem(&self) -> Option<Problem> {
        serde_json::from_slice(&self.body).ok()
    }

    /// Asserts that it is the problem `code`, in words that a person can read.
    #[track_caller]
    pub fn is(&self, code: Code, said: &str) {
        let (spelling, status) = code.parts();
        let text = String::from_utf8_lossy(&self.body);
        assert_eq!(self.status, status, "{spelling} to {said}: {text}");
        let problem = self
            .problem()
            .unwrap_or_else(|| panic!("to {said}: {text}"));
        assert_eq!(problem.code, spelling, "to {said}: {text}");
        assert_eq!(problem.kind, format!("urn:colis:problem:{spelling}"));
        assert!(!problem.detail.is_empty() && problem.detail.chars().count() < 500);
        assert!(!problem.detail.contains('\n'), "{}", problem.detail);
        let is_escaped = ["\\'", "\\\""]
            .iter()
            .any(|quote| problem.detail.contains(quote));
        assert!(!is_escaped, "twice: {}", problem.detail);
        assert_clean(&problem.detail);
    }

    /// The value of the header `name`, in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

pub fn read_to_close(stream: &mut Tls) -> Answer {
    let mut bytes = Vec::new();
    if let Err(error) = stream.read_to_end(&mut bytes) {
        let timed_out = [std::io::ErrorKind::WouldBlock, std::io::ErrorKind::TimedOut];
        assert!(!timed_out.contains(&error.kind()), "never closed");
    }
    let end = bytes.windows(4).position(|w| w == b"\r\n\r\n");
    let (head, body) = bytes.split_at(end.map_or(bytes.len(), |end| end + 4));
    let head = String::from_utf8_lossy(head).into_owned();
    let status = head.strip_prefix("HTTP/1.1 ").and_then(|h| h.get(..3));
    Answer {
        status: status.and_then(|s| s.parse().ok()).unwrap_or(0),
        body: body.to_vec(),
        head,
    }
}

/// A request that ends its connection. `headers` end in CR LF each.
pub fn request(method: &str, path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = if body.is_empty() && ["GET", "HEAD", "DELETE"].contains(&method) {
        String::new()
    } else {
        format!("content-length: {}\r\n", body.len())
    };
    raw(method, path, &format!("{length}{headers}"), body)
}

/// The same without a Content-Length of ours.
pub fn raw(method: &str, path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n");
    [head.as_bytes(), body].concat()
}

/// Whatever is put into a terminal or a log has no character that moves it or hides something.
#[track_caller]
pub fn assert_clean(text: &str) {
    let harmful = |c: char| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
            || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    let found: Vec<_> = text.chars().filter(|c| harmful(*c)).collect();
    assert!(found.is_empty(), "{found:?} raw in {text:?}");
}

pub fn certs(homes: &Homes, name: &str) -> CertsDir {
    CertsDir::new(homes.home(name).join("certs"))
}

pub fn certificate(dir: &CertsDir) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(dir.server_cert()).unwrap()
}

pub fn key(dir: &CertsDir) -> PrivateKeyDer<'static> {
    PrivateKeyDer::from_pem_file(dir.server_key()).unwrap()
}

/// A client that trusts the circle and shows nothing.
pub fn shows_nothing(homes: &Homes) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    let circle = CertificateDer::from_pem_file(certs(homes, "a").ca_cert()).unwrap();
    roots.add(circle).unwrap();
    ClientConfig::builder_with_provider(tls::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// A client that trusts the circle and shows `chain`, with a key that need not be its own.
pub fn shows(
    homes: &Homes,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> ClientConfig {
    let key = tls::provider().key_provider.load_private_key(key).unwrap();
    let mut config = shows_nothing(homes);
    let shown = Shown(Arc::new(CertifiedKey::new(chain, key)));
    config.client_auth_cert_resolver = Arc::new(shown);
    config
}

/// Shows this certificate to whoever asks.
#[derive(Debug)]
pub struct Shown(pub Arc<CertifiedKey>);

impl ResolvesClientCert for Shown {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}
