//! One TLS handshake, looked at: for whoever must say which step on the way to a peer fails, and why.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use rustls::{ClientConfig, Error as TlsError, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::error::{alert_of, causes, distrust_of, tls_error};
use crate::{name::LibraryError, store::Alert, tls::Distrust};

/// Bytes of an answer that is no TLS which are kept to be shown.
const KEPT: usize = 80;

/// Why there is no handshake.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// Nothing came within the time for it.
    #[error("it connects and then says nothing")]
    Silent,
    /// The other side ended the connection without a reason.
    #[error("it closed the connection without saying why")]
    Closed,
    /// Something else than TLS answers.
    #[error("it does not speak TLS")]
    NotTls {
        /// What its answer begins with; remote bytes.
        beginning: Vec<u8>,
    },
    /// The other side refuses us.
    #[error("refused: {alert}")]
    Refused {
        /// Why.
        alert: Alert,
    },
    /// We refuse the other side.
    #[error(transparent)]
    Distrusted(#[from] Distrust),
    /// It failed otherwise.
    #[error(transparent)]
    Failed(#[from] LibraryError),
}

/// A handshake that was made; as far as this side knows, for a peer judges our certificate after its last message.
pub struct Handshake {
    stream: TlsStream<Overheard>,
}

impl Handshake {
    /// Makes the handshake over `tcp` within `patience`.
    ///
    /// # Errors
    /// [`HandshakeError`].
    pub async fn make(
        tcp: TcpStream,
        config: ClientConfig,
        patience: Duration,
    ) -> Result<Self, HandshakeError> {
        let name = ServerName::from(tcp.peer_addr().map_or_else(unknown, |a: SocketAddr| a.ip()));
        let connecting = TlsConnector::from(Arc::new(config))
            .connect(name, Overheard::new(tcp))
            .into_fallible();
        match timeout(patience, connecting).await {
            Ok(Ok(stream)) => Ok(Self { stream }),
            Ok(Err((error, overheard))) => Err(classify(&error, overheard.beginning)),
            Err(_) => Err(HandshakeError::Silent),
        }
    }

    /// The version of TLS, and how the keys were agreed on.
    pub fn protocol(&self) -> String {
        let (_, tls) = self.stream.get_ref();
        let version = match tls.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_3) => "TLS 1.3",
            _ => "TLS",
        };
        tls.negotiated_key_exchange_group()
            .map_or(version.to_owned(), |group| {
                format!("{version}, {:?}", group.name())
            })
    }

    /// Waits for the other side to refuse us after all: `None` if it has not within `patience`.
    pub async fn refusal(mut self, patience: Duration) -> Option<HandshakeError> {
        let mut byte = [0];
        match timeout(patience, self.stream.read(&mut byte)).await {
            Ok(Ok(0)) => Some(HandshakeError::Closed),
            Ok(Ok(_)) | Err(_) => None,
            Ok(Err(error)) => Some(classify(&error, Vec::new())),
        }
    }
}

fn unknown(_: io::Error) -> std::net::IpAddr {
    std::net::Ipv4Addr::UNSPECIFIED.into()
}

fn classify(error: &io::Error, beginning: Vec<u8>) -> HandshakeError {
    match causes(error).find_map(tls_error) {
        Some(TlsError::InvalidMessage(_)) => HandshakeError::NotTls { beginning },
        Some(TlsError::AlertReceived(alert)) => HandshakeError::Refused {
            alert: alert_of(*alert),
        },
        Some(TlsError::InvalidCertificate(error)) => HandshakeError::Distrusted(distrust_of(error)),
        Some(other) => HandshakeError::Failed(LibraryError::new(other)),
        None => match error.kind() {
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe => HandshakeError::Closed,
            _ => HandshakeError::Failed(LibraryError::new(error)),
        },
    }
}

/// A connection that keeps the first bytes that came, to be shown if they are no TLS.
struct Overheard {
    tcp: TcpStream,
    beginning: Vec<u8>,
}

impl Overheard {
    fn new(tcp: TcpStream) -> Self {
        Self {
            tcp,
            beginning: Vec::new(),
        }
    }
}

impl AsyncRead for Overheard {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.tcp).poll_read(context, buffer))?;
        let kept = KEPT.saturating_sub(self.beginning.len());
        let came = &buffer.filled()[before..];
        self.beginning.extend(came.iter().take(kept));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Overheard {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(context)
    }
}
