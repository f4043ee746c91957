//! The machine that joins: it proves that it knows the code, and takes nothing from anybody who does not.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{
    Breach, Code, PairError, PairOptions,
    card::{self, Grant, Host, OTHER_NAMES, OtherName, Refusal, Request, Taken},
    exchange::{Channel, Dialect, Exchange, Hello, Side},
    frame::{self, Frame, Kind, MAX_BODY, MAX_GRANT},
};
use crate::{
    address::{PeerAddress, first_answer},
    tls::{self, CertsDir, Identity, Joining, Membership, Staged, TlsError},
    trust::{SignedBundle, is_new_peer_name},
};

/// What a machine that joins wants.
pub struct Wish {
    /// What the other person reads from their screen.
    pub code: Code,
    /// What it wants to be called.
    pub name: String,
    /// What is done if another machine is called so.
    pub if_taken: IfTaken,
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

/// What a machine does whose name is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IfTaken {
    /// Takes one that is free, which the other machine proposes.
    #[default]
    TakeAnother,
    /// Does not join.
    Fail,
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
    let (mut stream, from) = call(addresses, wish.options.step).await?;
    let (_, connection) = stream.get_ref();
    let exporter = connection.export_keying_material([0; 32], tls::EXPORTER_LABEL, None);
    let exporter = exporter.map_err(PairError::failed)?;
    let channel = Channel::new(exporter, connection.alpn_protocol());
    meet(&mut stream, &channel, wish, from).await
}

/// Looks whether a code is shown at one of `addresses`, and hangs up: no try is lost.
///
/// # Errors
/// [`PairError::Unreachable`], or if what listens there does not speak the protocol.
pub async fn knock(addresses: &[SocketAddr], options: &PairOptions) -> Result<(), PairError> {
    let (mut stream, _) = call(addresses, options.step).await?;
    // A code is shown there, whether it hears the end or not.
    let _ = timeout(options.step, stream.shutdown()).await;
    Ok(())
}

/// A channel to the machine that answers at one of `addresses`, and where that is.
async fn call(
    addresses: &[SocketAddr],
    patience: Duration,
) -> Result<(TlsStream<TcpStream>, SocketAddr), PairError> {
    let tcp = connect(addresses, patience).await?;
    tcp.set_nodelay(true).map_err(PairError::Broken)?;
    let from = tcp.peer_addr().map_err(PairError::Broken)?;
    let (config, name) = tls::pairing_client()?;
    let connecting = TlsConnector::from(config).connect(name, tcp);
    let connected = timeout(patience, connecting).await;
    let stream = connected
        .map_err(|_| PairError::Silent)?
        .map_err(|error| not_connected(error, from))?;
    Ok((stream, from))
}

/// A peer that serves knows no protocol of pairing, and says so.
fn not_connected(error: io::Error, address: SocketAddr) -> PairError {
    match tls::is_of_another_protocol(&error) {
        true => PairError::ServesFiles { address },
        false => PairError::Broken(error),
    }
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
    channel: &Channel,
    wish: &Wish,
    from: SocketAddr,
) -> Result<Joined, PairError> {
    let step = wish.options.step;
    let mut keys = Joining::new(&wish.name)?;
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
    let tags = exchange.finish(&hello, &channel.exporter)?;
    frame::write(stream, Kind::Confirm, &tags.of(Side::Joiner)?, step).await?;
    let tag = hear(stream, Kind::Confirm, MAX_BODY, step).await?;
    if !tags.proves(Side::Inviter, &tag)? {
        return Err(PairError::Impostor);
    }
    frame::write(stream, Kind::Request, request.as_bytes(), step).await?;
    let grant = match channel.dialect {
        Dialect::First => hear(stream, Kind::Grant, MAX_GRANT, step).await?,
        Dialect::OtherNames => hear_grant(stream, &mut keys, wish).await?,
    };
    let grant: Grant = card::parse(&grant)?;
    let host: Host = card::open(grant.host.as_bytes(), hello.commitment())?;
    let (staged, issuer) = stage(keys, grant, host, wish, from).await?;
    wish.is_last_step.store(true, Ordering::SeqCst);
    frame::write(stream, Kind::Ready, &staged.bundle()?, step).await?;
    match hear(stream, Kind::Done, MAX_GRANT, step).await {
        Ok(directory) => staged.take_directory(&directory),
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

/// The grant. If the name of `keys` is taken they get another one first, if that is wanted.
async fn hear_grant(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    keys: &mut Joining,
    wish: &Wish,
) -> Result<Vec<u8>, PairError> {
    let step = wish.options.step;
    for _ in 0..OTHER_NAMES {
        let frame = frame::read(stream, MAX_GRANT, step).await?;
        if frame.kind != Kind::Taken {
            return body_of(frame, Kind::Grant);
        }
        let taken: Taken = card::parse(&frame.body)?;
        let free = taken.free.filter(|name| is_new_peer_name(name));
        let free = match (free, wish.if_taken) {
            (Some(free), IfTaken::TakeAnother) => free,
            (free, _) => {
                return Err(PairError::NameTaken {
                    name: keys.name().to_owned(),
                    said: card::bounded(taken.reason),
                    free,
                });
            }
        };
        keys.rename(&free)?;
        let other = serde_json::to_vec(&OtherName { name: free }).map_err(PairError::failed)?;
        frame::write(stream, Kind::OtherName, &other, step).await?;
    }
    hear(stream, Kind::Grant, MAX_GRANT, step).await
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
    body_of(frame::read(stream, limit, patience).await?, kind)
}

fn body_of(frame: Frame, kind: Kind) -> Result<Vec<u8>, PairError> {
    if frame.kind == kind {
        Ok(frame.body)
    } else if frame.kind == Kind::Refusal {
        Err(card::parse::<Refusal>(&frame.body)?.into())
    } else {
        Err(Breach::FrameTurn.into())
    }
}
