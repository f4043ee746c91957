//! A certificate is public: who has only a copy of it gets nothing, whichever end he plays.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener},
    sync::Arc,
    thread,
    time::Duration,
};

use colis::{
    client::{ClientOptions, PeerClient},
    store::StoreError,
    tls::{self, Circle, CircleHandle, Expect, Identity, Seen},
};
use rustls::{
    AlertDescription, ServerConfig, ServerConnection, SignatureAlgorithm, SignatureScheme,
    StreamOwned,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    sign::{CertifiedKey, Signer, SigningKey},
};
use tokio::runtime::Runtime;

use testkit::site::{Shown, Site, certificate, certs, key, shows_nothing};
use testkit::{Homes, bytes, rounds};

/// How a thief signs the handshake.
#[derive(Debug, Clone, Copy)]
enum Forgery {
    /// Not at all: he has the key, and is let in, or all that follows proves nothing.
    None,
    /// With a key of his own.
    OwnKey,
    /// With the key of the peer that he talks to, as if it had leaked.
    OtherMember,
    Zeros,
    Noise,
    /// With his own signature, cut or made longer.
    Cut,
    Long,
    Empty,
}

const FORGERIES: [Forgery; 7] = [
    Forgery::OwnKey,
    Forgery::OtherMember,
    Forgery::Zeros,
    Forgery::Noise,
    Forgery::Cut,
    Forgery::Long,
    Forgery::Empty,
];

/// A certificate with a key that makes signatures of a kind.
#[derive(Debug, Clone)]
struct Thief {
    key: Arc<dyn SigningKey>,
    forgery: Forgery,
}

impl Thief {
    /// Shows the certificate of `b`.
    fn show(homes: &Homes, forgery: Forgery) -> Arc<Shown> {
        let own = rcgen::KeyPair::generate().unwrap().serialize_der();
        let own = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(own));
        let key = match forgery {
            Forgery::None => key(&certs(homes, "b")),
            Forgery::OtherMember => key(&certs(homes, "a")),
            _ => own,
        };
        let key = tls::provider().key_provider.load_private_key(key).unwrap();
        let thief = Arc::new(Self { key, forgery });
        let chain = vec![certificate(&certs(homes, "b"))];
        Arc::new(Shown(Arc::new(CertifiedKey::new(chain, thief))))
    }
}

impl SigningKey for Thief {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        self.key.choose_scheme(offered).map(|signer| {
            let forgery = self.forgery;
            Box::new(Forger { signer, forgery }) as Box<dyn Signer>
        })
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.key.algorithm()
    }
}

#[derive(Debug)]
struct Forger {
    signer: Box<dyn Signer>,
    forgery: Forgery,
}

impl Signer for Forger {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        let mut signature = self.signer.sign(message)?;
        match self.forgery {
            Forgery::None | Forgery::OwnKey | Forgery::OtherMember => {}
            Forgery::Zeros => signature.fill(0),
            Forgery::Noise => signature = bytes(message.len() as u64, 71),
            Forgery::Cut => signature.truncate(signature.len() / 2),
            Forgery::Long => signature.push(0),
            Forgery::Empty => signature.clear(),
        }
        Ok(signature)
    }

    fn scheme(&self) -> SignatureScheme {
        self.signer.scheme()
    }
}

/// What a peer answers to `b`, or to whoever says that he is.
fn asked(site: &Site, forgery: Forgery) -> std::io::Result<String> {
    let mut config = shows_nothing(&site.homes);
    config.client_auth_cert_resolver = Thief::show(&site.homes, forgery);
    let mut stream = site.connect(config);
    let _ = stream.write_all(b"GET /v1/health HTTP/1.1\r\nhost: x\r\n\r\n");
    let mut answer = [0; 100];
    let length = stream.read(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
}

#[test]
fn a_stolen_certificate_opens_no_door() {
    let (site, rounds) = (Site::default(), rounds(100));
    assert!(
        asked(&site, Forgery::None)
            .unwrap()
            .starts_with("HTTP/1.1 200")
    );
    for round in 0..rounds {
        let forgery = FORGERIES[round % FORGERIES.len()];
        let error = asked(&site, forgery).expect_err("it was let in");
        let alert = error.get_ref().and_then(|e| e.downcast_ref());
        let refused = rustls::Error::AlertReceived(AlertDescription::DecryptError);
        assert_eq!(alert, Some(&refused), "{forgery:?}: {error}");
    }
    site.is_well();
    eprintln!("{rounds} of {rounds} copied client certificates refused");
}

#[test]
fn a_server_with_a_stolen_certificate_is_told_nothing() {
    let (homes, rounds) = (Homes::new(&["b"]), rounds(100));
    let runtime = Runtime::new().unwrap();
    let ask = |address| runtime.block_on(client(&homes, address).health());
    let (address, heard) = serve_once(Thief::show(&homes, Forgery::None));
    assert!(ask(address).is_err(), "it never answers");
    assert!(heard.join().unwrap() > 0, "not even a true one is asked");
    for round in 0..rounds {
        let forgery = FORGERIES[round % FORGERIES.len()];
        let (address, heard) = serve_once(Thief::show(&homes, forgery));
        if round < FORGERIES.len() {
            let said = homes.fails("a", &["list", &address.to_string()], 4);
            assert!(said.contains("hint: "), "{said}");
        } else {
            let refused = ask(address).expect_err("it was believed");
            let untrusted = matches!(refused, StoreError::Untrusted { .. });
            assert!(untrusted, "{refused:?}");
        }
        let told = heard.join().unwrap();
        assert_eq!(told, 0, "{forgery:?}: it was told something");
    }
    eprintln!("{rounds} of {rounds} copied server certificates refused");
}

fn client(homes: &Homes, address: SocketAddr) -> PeerClient {
    let dir = certs(homes, "a");
    let circle = CircleHandle::new(Circle::load(&dir).unwrap());
    let (identity, expect) = (Identity::load(&dir).unwrap(), Expect::default());
    let config = tls::client_config(&identity, &circle, expect, &Seen::default()).unwrap();
    let options = ClientOptions {
        retries: 0,
        ..ClientOptions::default()
    };
    PeerClient::new(address.to_string().parse().unwrap(), config, options).unwrap()
}

/// A server for one connection. Gives how many bytes of a request it was told.
fn serve_once(shown: Arc<Shown>) -> (SocketAddr, thread::JoinHandle<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut config = ServerConfig::builder_with_provider(tls::provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(shown);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let heard = thread::spawn(move || {
        let (tcp, _) = listener.accept().unwrap();
        tcp.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let tls = ServerConnection::new(Arc::new(config)).unwrap();
        let mut stream = StreamOwned::new(tls, tcp);
        let mut told = [0; 4096];
        stream.read(&mut told).unwrap_or(0)
    });
    (address, heard)
}
