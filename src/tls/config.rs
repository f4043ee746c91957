//! The TLS configurations of both ends, and the verifiers in them.

use std::{
    cell::Cell,
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, OtherError,
    ServerConfig, SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::{
        NoServerSessionStorage,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    version::TLS13,
};

use super::{
    Caller, Identity, TlsError,
    ca::may_still_renew,
    circle::{CircleHandle, Usage},
    provider,
};
use crate::{
    id::PeerId,
    manifest::{BadCertificate, Distrust, Timestamp},
};

/// HTTP/1.1 and nothing else.
const ALPN: &[u8] = b"http/1.1";
/// Certificates that may come along with a member's, and are not looked at.
const MAX_INTERMEDIATES: usize = 4;

/// How we serve: as `identity`, for members of `circle` as it is at each handshake.
///
/// # Errors
/// [`TlsError::Crypto`].
pub fn server_config(
    identity: &Identity,
    circle: &CircleHandle,
) -> Result<Arc<ServerConfig>, TlsError> {
    let members = |_: &Caller, standing| standing == Standing::Member;
    server_config_for(identity, circle, Arc::new(members))
}

/// As what somebody of the circle is let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Its certificate counts.
    Member,
    /// Its certificate ended not long ago: it may have it renewed, and do nothing else.
    Ended,
    /// It has this peer's own key, and the certificate for it does not count any more: whoever stands at this machine may still
    /// end the peer, and take out what is stored.
    Owner,
}

/// Who of the circle is let in, as what.
pub type Admission = Arc<dyn Fn(&Caller, Standing) -> bool + Send + Sync>;

/// The same for those only that `admitted` lets in at their handshake.
///
/// # Errors
/// [`TlsError::Crypto`].
pub fn server_config_for(
    identity: &Identity,
    circle: &CircleHandle,
    admitted: Admission,
) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = provider();
    let verifier = Arc::new(MemberVerifier {
        circle: circle.clone(),
        own: identity.caller().key_id,
        admitted,
        provider: provider.clone(),
    });
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(
            vec![identity.certificate_der()],
            identity.private_key()?.into(),
        )?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(Arc::new(config))
}

/// Whom we expect to answer.
#[derive(Debug, Clone, Default)]
pub struct Expect {
    /// This peer and no other; if not told, whoever answers first and then no other.
    pub peer: Option<PeerId>,
    /// Names that must show their known ids.
    pub known: HashMap<String, PeerId>,
}

/// Who answered, as the last handshake has proved.
#[derive(Debug, Clone, Default)]
pub struct Seen(Arc<Mutex<Option<Caller>>>);

impl Seen {
    /// Who it was; `None` before the first handshake.
    pub fn caller(&self) -> Option<Caller> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// How we call: as `identity`, trusting members of `circle` that are as expected. `seen` tells who answered.
///
/// # Errors
/// [`TlsError::Crypto`].
pub fn client_config(
    identity: &Identity,
    circle: &CircleHandle,
    expect: Expect,
    seen: &Seen,
) -> Result<ClientConfig, TlsError> {
    let provider = provider();
    let verifier = PeerVerifier {
        circle: circle.clone(),
        own: identity.caller().key_id,
        provider: provider.clone(),
        expect,
        seen: seen.clone(),
    };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_auth_cert(
            vec![identity.certificate_der()],
            identity.private_key()?.into(),
        )?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// Lets members of the circle in.
struct MemberVerifier {
    circle: CircleHandle,
    /// The key of this peer.
    own: PeerId,
    admitted: Admission,
    provider: Arc<CryptoProvider>,
}

impl MemberVerifier {
    /// Lets in whoever has our own key: no certificate is needed to know ourselves.
    fn admit_owner(
        &self,
        end_entity: &CertificateDer<'_>,
        distrust: Distrust,
    ) -> Result<(), Distrust> {
        let owner = with_key(end_entity, self.own);
        match owner.is_some_and(|caller| (self.admitted)(&caller, Standing::Owner)) {
            true => Ok(()),
            false => Err(distrust),
        }
    }

    /// Lets in a member whose certificate counts, and who is not blocked here.
    fn admit(&self, caller: &Caller) -> Result<(), Distrust> {
        match (self.admitted)(caller, Standing::Member) {
            true => Ok(()),
            false => Err(Distrust::Blocked {
                name: caller.name.clone(),
                peer: caller.key_id,
            }),
        }
    }

    /// Whether to let in somebody whose certificate has `expired`. It must have counted until then: chain, usage and signatures
    /// are checked as of that second, and revocation as of now. Who is blocked is told that: renewing would change nothing.
    fn admit_ended(
        &self,
        end_entity: &CertificateDer<'_>,
        (not_after, now): (Timestamp, Timestamp),
        expired: Distrust,
    ) -> Result<(), Distrust> {
        let caller = self.circle.judge(end_entity, Usage::Client, not_after)?;
        self.admit(&caller)?;
        match may_still_renew(&caller, now) && (self.admitted)(&caller, Standing::Ended) {
            true => Ok(()),
            false => Err(expired),
        }
    }
}

impl ClientCertVerifier for MemberVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let judged = judge(&self.circle, Usage::Client, end_entity, intermediates, now);
        let admitted = match judged {
            Ok(caller) => self.admit(&caller),
            Err(ended @ Distrust::Expired { not_after, now, .. }) => {
                self.admit_ended(end_entity, (not_after, now), ended)
            }
            Err(distrust) => Err(distrust),
        };
        admitted
            .or_else(|distrust| self.admit_owner(end_entity, distrust))
            .map(|()| ClientCertVerified::assertion())
            .map_err(|distrust| {
                note(&distrust);
                alert(&distrust)
            })
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(tls13_only())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signed,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// Accepts the peer that we wanted to reach. Host names say nothing here: keys do.
struct PeerVerifier {
    circle: CircleHandle,
    /// The key that calls.
    own: PeerId,
    provider: Arc<CryptoProvider>,
    expect: Expect,
    seen: Seen,
}

impl PeerVerifier {
    fn expected(&self, caller: &Caller) -> Result<(), Distrust> {
        let known = self.expect.known.get(&caller.name);
        let first = self.seen.caller().map(|caller| caller.key_id);
        match self.expect.peer.or(first).or(known.copied()) {
            Some(expected) if expected != caller.key_id => Err(Distrust::OtherPeer {
                name: caller.name.clone(),
                expected,
                found: caller.key_id,
            }),
            _ => Ok(()),
        }
    }
}

impl ServerCertVerifier for PeerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let judged = judge(&self.circle, Usage::Server, end_entity, intermediates, now);
        // The peer of our own home is known by our own key, also when the certificate for it does not count any more.
        let judged = judged.or_else(|distrust| {
            let is_own = self.expect.peer == Some(self.own);
            let own = is_own.then(|| with_key(end_entity, self.own)).flatten();
            own.ok_or(distrust)
        });
        let caller = judged.and_then(|caller| self.expected(&caller).map(|()| caller));
        let other = |distrust| {
            rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(
                distrust,
            ))))
        };
        *self.seen.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(caller.map_err(other)?);
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(tls13_only())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signed,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

impl fmt::Debug for MemberVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemberVerifier(..)")
    }
}

impl fmt::Debug for PeerVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerVerifier({:?}, ..)", self.expect)
    }
}

/// Whom a certificate names if it is for the key `own`. That the other side has this key is for the signature of the handshake to
/// prove.
fn with_key(end_entity: &CertificateDer<'_>, own: PeerId) -> Option<Caller> {
    let caller = Caller::from_certificate(end_entity).ok()?;
    (caller.key_id == own && !caller.script).then_some(caller)
}

/// A member's certificate is signed by the circle itself, or by what every home of its outside authority has, so nothing that
/// comes along counts. Some clients send a chain all the same; a long one is only work for us.
fn judge(
    circle: &CircleHandle,
    usage: Usage,
    end_entity: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    now: UnixTime,
) -> Result<Caller, Distrust> {
    if intermediates.len() > MAX_INTERMEDIATES {
        return Err(BadCertificate::LongChain.into());
    }
    let now = Timestamp::from_unix_seconds(now.as_secs());
    circle.judge(end_entity, usage, now)
}

tokio::task_local! {
    /// Why the certificate that was shown in this handshake is not trusted.
    static WHY: Cell<Option<Untrusted>>;
}

/// Why a certificate was not trusted, in words for our log. Names in it are foreign.
#[derive(Debug)]
pub(crate) struct Untrusted(Distrust);

impl Untrusted {
    /// The name and the id of the peer, if the circle has signed it: it is blocked, revoked or out of date here. What another
    /// circle's certificate says of itself proves nothing.
    pub(crate) fn member(&self) -> Option<(&str, PeerId)> {
        match &self.0 {
            Distrust::Expired { name, peer, .. }
            | Distrust::NotYetValid { name, peer, .. }
            | Distrust::Revoked { name, peer }
            | Distrust::NotAllowed { name, peer }
            | Distrust::SecondKey { name, peer, .. }
            | Distrust::Unchecked { name, peer, .. }
            | Distrust::Blocked { name, peer } => Some((name, *peer)),
            _ => None,
        }
    }

    /// Whether the circle has signed it.
    pub(crate) fn is_of_the_circle(&self) -> bool {
        self.member().is_some()
    }
}

impl fmt::Display for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Untrusted {}

/// A handshake with a stranger; with it, why its certificate was not trusted.
pub(crate) async fn with_reason<T>(handshake: impl Future<Output = T>) -> (T, Option<Untrusted>) {
    let heard = async { (handshake.await, WHY.with(Cell::take)) };
    WHY.scope(Cell::new(None), heard).await
}

fn note(distrust: &Distrust) {
    // Outside of `with_reason` nobody wants to know.
    let _ = WHY.try_with(|noted| noted.set(Some(Untrusted(distrust.clone()))));
}

/// What the other side is told: TLS has a word for most reasons.
fn alert(distrust: &Distrust) -> rustls::Error {
    let error = match distrust {
        Distrust::Malformed(_) => CertificateError::BadEncoding,
        Distrust::Foreign { .. } => CertificateError::UnknownIssuer,
        Distrust::Expired { .. } => CertificateError::Expired,
        Distrust::NotYetValid { .. } => CertificateError::NotValidYet,
        Distrust::Revoked { .. } => CertificateError::Revoked,
        Distrust::WrongUsage { .. } => CertificateError::InvalidPurpose,
        Distrust::Unchecked { .. } => CertificateError::UnknownRevocationStatus,
        Distrust::OtherPeer { .. }
        | Distrust::Blocked { .. }
        | Distrust::NotAllowed { .. }
        | Distrust::SecondKey { .. } => CertificateError::ApplicationVerificationFailure,
    };
    rustls::Error::InvalidCertificate(error)
}

pub(super) fn tls13_only() -> rustls::Error {
    rustls::Error::General("only TLS 1.3 is spoken here".into())
}
