//! The machine that joins: it proves that it knows the code, and takes nothing from anybody who does not.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use super::{
    Breach, Code, PairError, PairOptions,
    card::{self, Grant, Host, Refusal, Request},
    exchange::{Exchange, Exporter, Hello, Side},
    frame::{self, Kind, MAX_BODY, MAX_GRANT},
};
use crate::{
    address::{PeerAddress, first_answer},
    tls::{self, CertsDir, Identity, Joining, Membership, Staged, TlsError},
    trust::SignedBundle,
};

/// What a machine that joins wants.
pub struct Wish {
    /// What the other person reads from their screen.
    pub code: Code,
    /// What it wants to be called.
    pub name: String,
    /// Where its certificates go; nothing may be there yet.
    pub certs: CertsDir,
    /// Where it will serve.
    pub port: Option<u16>,
    /// How the inviting machine is called, to find it again; without that, by the address where it answers.
    pub host: Option<String>,
    /// What bounds it.
    pub options: PairOptions,
    /// Becomes true once the other machine may count us as a member. Whoever gives up then must wait for the end instead,
    /// which comes within a step, or a member is left that no machine is.
    pub is_last_step: Arc<AtomicBool>,
}

/// A membership.
pub struct Joined {
    /// Who we are now.
    pub identity: Identity,
    /// Who let us in.
    pub issuer: String,
    /// Where the circle is that was left for it.
    pub left: Option<CertsDir>,
}

/// Joins the circle of the machine that shows a code at one of `addresses`.
///
/// # Errors
/// [`PairError::WrongCode`], [`PairError::Impostor`], [`PairError::Refused`]: then nothing was written.
pub async fn join(addresses: &[SocketAddr], wish: &Wish) -> Result<Joined, PairError> {
    Joining::check_place(&wish.certs)?;
    let tcp = connect(addresses, wish.options.step).await?;
    tcp.set_nodelay(true).map_err(PairError::Broken)?;
    let from = tcp.peer_addr().map_err(PairError::Broken)?;
    let (config, name) = tls::pairing_client()?;
    let connecting = TlsConnector::from(config).connect(name, tcp);
    let connected = timeout(wish.options.step, connecting).await;
    let mut stream = connected
        .map_err(|_| PairError::Silent)?
        .map_err(PairError::Broken)?;
    let (_, connection) = stream.get_ref();
    let exporter = connection.export_keying_material([0; 32], tls::EXPORTER_LABEL, None);
    let exporter = exporter.map_err(PairError::failed)?;
    meet(&mut stream, &exporter, wish, from).await
}

async fn connect(addresses: &[SocketAddr], patience: Duration) -> Result<TcpStream, PairError> {
    let tries = addresses.iter().map(|address| async move {
        let connected = timeout(patience, TcpStream::connect(address)).await;
        let connected = connected.unwrap_or_else(|elapsed| Err(elapsed.into()));
        connected.map_err(|source| PairError::Unreachable {
            address: *address,
            source,
        })
    });
    let connected = first_answer(tries).await;
    connected.map_err(|mut failed| failed.pop().unwrap_or(PairError::NoAddress))
}

/// All that is said over one channel with the machine that answered at `from`.
pub(super) async fn meet(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    exporter: &Exporter,
    wish: &Wish,
    from: SocketAddr,
) -> Result<Joined, PairError> {
    let step = wish.options.step;
    let keys = Joining::new(&wish.name)?;
    let [identity, script] = keys.requests()?;
    let request = Request {
        blind: card::blind()?,
        name: wish.name.clone(),
        identity,
        script,
        seal_key: keys.seal_key().clone(),
        port: wish.port,
    };
    let (request, commitment) = card::seal(&request)?;
    let exchange = Exchange::start(Side::Joiner, &wish.code, &commitment);
    frame::write(stream, Kind::Hello, &exchange.hello, step).await?;
    let hello = Hello::parse(hear(stream, Kind::Hello, MAX_BODY, step).await?)?;
    let tags = exchange.finish(&hello, exporter)?;
    frame::write(stream, Kind::Confirm, &tags.of(Side::Joiner)?, step).await?;
    let tag = hear(stream, Kind::Confirm, MAX_BODY, step).await?;
    if !tags.proves(Side::Inviter, &tag)? {
        return Err(PairError::Impostor);
    }
    frame::write(stream, Kind::Request, request.as_bytes(), step).await?;
    let grant = hear(stream, Kind::Grant, MAX_GRANT, step).await?;
    let grant: Grant = card::parse(&grant)?;
    let host: Host = card::open(grant.host.as_bytes(), hello.commitment())?;
    let (staged, issuer) = stage(keys, grant, host, wish, from).await?;
    wish.is_last_step.store(true, Ordering::SeqCst);
    frame::write(stream, Kind::Ready, &[], step).await?;
    match hear(stream, Kind::Done, MAX_BODY, step).await {
        Ok(_) => {}
        Err(error @ PairError::Refused { .. }) => return Err(error),
        Err(_) => return Err(PairError::Undecided),
    }
    let certs = wish.certs.clone();
    let (identity, left) = on_disk(move || staged.publish(&certs)).await?;
    Ok(Joined {
        identity,
        issuer,
        left,
    })
}

/// Checks what was given and writes it beside its place.
async fn stage(
    keys: Joining,
    grant: Grant,
    host: Host,
    wish: &Wish,
    from: SocketAddr,
) -> Result<(Staged, String), PairError> {
    let issuer = SignedBundle::parse(Bytes::from(host.bundle));
    let issuer = issuer.map_err(Breach::Bundle)?;
    let name = issuer.payload().name.clone();
    let membership = Membership {
        ca_cert: host.ca_cert,
        crl: grant.crl,
        certificate: grant.certificate,
        script_certificate: grant.script_certificate,
        issuer,
        address: host.port.map(|port| match &wish.host {
            Some(called) => format!("{called}:{port}"),
            None => {
                let mut from = from;
                from.set_port(port);
                PeerAddress::from(from).to_string()
            }
        }),
    };
    let certs = wish.certs.clone();
    let staged = on_disk(move || keys.stage(&certs, &membership)).await?;
    Ok((staged, name))
}

async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, TlsError> + Send + 'static,
) -> Result<T, PairError> {
    let done = tokio::task::spawn_blocking(work).await;
    Ok(done.map_err(PairError::failed)??)
}

/// The body of the next frame, which must be of that kind, unless it says why there is none.
async fn hear(
    stream: &mut (impl AsyncRead + Unpin),
    kind: Kind,
    limit: u32,
    patience: Duration,
) -> Result<Vec<u8>, PairError> {
    let frame = frame::read(stream, limit, patience).await?;
    if frame.kind == kind {
        Ok(frame.body)
    } else if frame.kind == Kind::Refusal {
        Err(card::parse::<Refusal>(&frame.body)?.into())
    } else {
        Err(Breach::FrameTurn.into())
    }
}
