//! TLS between two machines that do not know each other yet: a channel, and no more. Nobody is believed because of it; who
//! is at the other end is proved by the pairing code, which is bound to the channel by its exporter (RFC 8446, section 7.5).

use std::{io, sync::Arc};

use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::{
    ClientConfig, DigitallySignedStruct, ServerConfig, SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, verify_tls13_signature},
    pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime},
    server::NoServerSessionStorage,
    version::TLS13,
};

use super::{TlsError, provider};
use crate::name::LibraryError;

/// Both ends take the same bytes out of their channel by this label, and other bytes out of every other channel.
pub const EXPORTER_LABEL: &[u8] = b"EXPORTER-colis-pair";

const FIRST: &[u8] = b"colis-pair/1";
/// Of a channel over which the joining machine may take another name than the one that it asked for. Each end prefers it, and
/// knows the first one too.
pub const PAIRING_OTHER_NAMES: &[u8] = b"colis-pair/2";
/// A throwaway certificate names nobody.
const NOBODY: &str = "pairing.invalid";

/// How the inviting machine answers: with a key and a certificate made for this pairing, which tell nothing of the circle.
///
/// # Errors
/// [`TlsError::Crypto`].
pub fn pairing_server() -> Result<Arc<ServerConfig>, TlsError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let certificate = CertificateParams::new(vec![NOBODY.to_owned()])?.self_signed(&key)?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        )?;
    config.alpn_protocols = vec![PAIRING_OTHER_NAMES.to_vec(), FIRST.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(Arc::new(config))
}

/// How the joining machine calls, and the name to call by. Dangerous: it takes whoever answers. Nothing may be sent over
/// such a channel, and nothing believed that came by it, before the pairing code has proved both ends of it.
///
/// # Errors
/// [`TlsError::Crypto`].
pub fn pairing_client() -> Result<(Arc<ClientConfig>, ServerName<'static>), TlsError> {
    let provider = provider();
    let mut config = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(TakesAnyCertificate(provider)))
        .with_no_client_auth();
    config.alpn_protocols = vec![PAIRING_OTHER_NAMES.to_vec(), FIRST.to_vec()];
    config.resumption = Resumption::disabled();
    config.enable_sni = false;
    let name = ServerName::try_from(NOBODY).map_err(|e| TlsError::Crypto(LibraryError::new(e)))?;
    Ok((Arc::new(config), name))
}

/// Takes every certificate, and still wants the handshake signed by its key.
#[derive(Debug)]
struct TakesAnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for TakesAnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(super::config::tls13_only())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Whether a handshake failed because what answers speaks another protocol over TLS.
pub fn is_of_another_protocol(error: &io::Error) -> bool {
    let wrapped = error.get_ref().and_then(|wrapped| wrapped.downcast_ref());
    let alert = rustls::Error::AlertReceived(rustls::AlertDescription::NoApplicationProtocol);
    wrapped == Some(&alert)
}
