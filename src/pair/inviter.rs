//! The machine that holds the circle's key: it shows a code, and lets in who proves to know it.

mod naming;
mod waiting;

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::future::BoxFuture;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{Mutex, MutexGuard},
    task::JoinSet,
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_rustls::TlsAcceptor;

use waiting::{MAX_WAITING, Place, Waiting};

use super::{
    Breach, Code, PairError, PairOptions,
    card::{self, Grant, Host, Refusal, Request},
    exchange::{Channel, Dialect, Exchange, Hello, Side, Tags},
    frame::{self, Frame, Kind, MAX_BODY},
};
use crate::{
    address::PeerAddress,
    id::PeerId,
    private,
    tls::{
        self, CertsDir, Identity, TlsError,
        ca::{self, Admitted, Newcomer},
    },
    trust::{KnownPeer, TrustError},
};

/// Connections that are looked at, beside those that have shown no code; others wait in the backlog of the system.
const MAX_VISITORS: usize = 2 * MAX_WAITING;
/// For how long a machine that has sent its tag waits for another that is joining.
const BUSY: Duration = Duration::from_secs(5);
/// How long a used code is explained to those who came with it too.
const FAREWELL: Duration = Duration::from_secs(1);
const AFTER_AN_ERROR: Duration = Duration::from_millis(50);

/// What is shown, and for whom.
pub struct Invitation {
    /// What the other person must type.
    pub code: Code,
    /// The circle.
    pub certs: CertsDir,
    /// Where this peer serves, so that the new one knows.
    pub port: Option<u16>,
    /// What bounds it.
    pub options: PairOptions,
    /// Whether members know somebody who is called so, beside what is on record here.
    pub taken: NameCheck,
}

/// Says which peer has a name, if it is taken.
pub type NameCheck = Arc<dyn Fn(String) -> BoxFuture<'static, Option<PeerId>> + Send + Sync>;

/// Says of every name that it is free: for a circle that nobody else knows.
pub fn all_free() -> NameCheck {
    Arc::new(|_| Box::pin(async { None }))
}

/// Somebody came while a code is shown, and did not join.
#[derive(Debug)]
pub struct FailedAttempt {
    /// From where.
    pub from: SocketAddr,
    /// Why not.
    pub error: PairError,
}

/// A machine that has joined.
#[derive(Debug)]
pub struct Paired {
    /// Who it is.
    pub peer: KnownPeer,
    /// From where it came.
    pub from: SocketAddr,
}

/// Lets one machine join, and listens no longer than that, than the code counts, or than this is polled.
///
/// However it ends, also if it is dropped: certificates of a machine that did not say that it has them are pending, until
/// [`ca::revoke_pending`].
///
/// # Errors
/// [`PairError::Burned`], [`PairError::Expired`], [`PairError::Tls`].
pub async fn invite(
    listener: TcpListener,
    invitation: Invitation,
    mut tell: impl FnMut(FailedAttempt),
) -> Result<Paired, PairError> {
    let acceptor = TlsAcceptor::from(tls::pairing_server()?);
    let house = Arc::new(House::open(invitation)?);
    let mut visitors = JoinSet::new();
    loop {
        let may_end = !house.is_over() || house.is_idle();
        tokio::select! {
            // Whoever is at the desk when the time is over may finish; nobody comes to it any more.
            () = sleep_until(house.ends), if may_end => {
                if house.is_idle() {
                    return Err(PairError::Expired);
                }
            }
            Some(Ok((from, ended))) = visitors.join_next() => match ended {
                Ok(peer) => {
                    // Who waits for the desk is told that the code is used.
                    let others = async { while visitors.join_next().await.is_some() {} };
                    let _ = timeout(FAREWELL, others).await;
                    return Ok(Paired { peer, from });
                }
                Err(PairError::OnlyLooked) => {}
                Err(error) => {
                    let is_burned = matches!(error, PairError::WrongCode { left: 0 });
                    tell(FailedAttempt { from, error });
                    if is_burned {
                        return Err(PairError::Burned);
                    }
                }
            },
            accepted = listener.accept(), if visitors.len() < MAX_VISITORS => match accepted {
                Ok((tcp, from)) => {
                    let (house, acceptor) = (house.clone(), acceptor.clone());
                    visitors.spawn(async move { (from, house.visit(acceptor, tcp, from).await) });
                }
                // Running out of descriptors passes: those that are here end.
                Err(_) => sleep(AFTER_AN_ERROR).await,
            },
        }
    }
}

/// The inviting machine, as every visitor meets it.
pub(super) struct House {
    code: Code,
    certs: CertsDir,
    options: PairOptions,
    ends: Instant,
    /// Who we are, and the commitment to it.
    card: String,
    commitment: [u8; 32],
    /// Those who have shown no code yet.
    waiting: Waiting,
    /// The tags are looked at one after the other, and who shows the code has its turn until it has joined. The tries that are left.
    desk: Mutex<u8>,
    /// Whether a machine has joined by the code.
    used: AtomicBool,
    taken: NameCheck,
}

impl House {
    pub(super) fn open(invitation: Invitation) -> Result<Self, PairError> {
        let Invitation {
            code,
            certs,
            port,
            options,
            taken,
        } = invitation;
        let bundle = Identity::load(&certs)?.bundle()?;
        let host = Host {
            blind: card::blind()?,
            bundle: String::from_utf8_lossy(bundle.envelope()).into_owned(),
            ca_cert: read(certs.ca_cert())?,
            port,
        };
        let (card, commitment) = card::seal(&host)?;
        Ok(Self {
            code,
            certs,
            ends: Instant::now() + options.life,
            waiting: Waiting::default(),
            desk: Mutex::new(options.tries),
            used: AtomicBool::new(false),
            taken,
            options,
            card,
            commitment,
        })
    }

    #[cfg(test)]
    pub(super) fn card(&self) -> &str {
        &self.card
    }

    fn is_over(&self) -> bool {
        Instant::now() >= self.ends
    }

    fn is_idle(&self) -> bool {
        self.desk.try_lock().is_ok()
    }

    async fn visit(
        &self,
        acceptor: TlsAcceptor,
        tcp: TcpStream,
        from: SocketAddr,
    ) -> Result<KnownPeer, PairError> {
        tcp.set_nodelay(true).map_err(PairError::Broken)?;
        let place = self
            .waiting
            .enter(from.ip().to_canonical(), self.options.step);
        let accept = async { acceptor.accept(tcp).await.map_err(PairError::Broken) };
        let mut stream = place.bound(accept).await?;
        let (_, connection) = stream.get_ref();
        let exporter = connection.export_keying_material([0; 32], tls::EXPORTER_LABEL, None);
        let exporter = exporter.map_err(PairError::failed)?;
        let channel = Channel::new(exporter, connection.alpn_protocol());
        self.meet_at(place, &mut stream, &channel, from).await
    }

    /// All that is said over one channel.
    async fn meet_at(
        &self,
        place: Place,
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
        channel: &Channel,
        from: SocketAddr,
    ) -> Result<KnownPeer, PairError> {
        let met = self.talk(place, stream, channel, from).await;
        if let Some(refusal) = met.as_ref().err().and_then(refusal) {
            let body = serde_json::to_vec(&refusal).map_err(PairError::failed)?;
            // Who does not hear why is refused as well.
            let _ = frame::write(stream, Kind::Refusal, &body, self.options.step).await;
        }
        let patience = match &met {
            // Its place is needed.
            Err(PairError::Silent | PairError::MadeWay) => FAREWELL.min(self.options.step),
            _ => self.options.step,
        };
        let _ = timeout(patience, stream.shutdown()).await;
        met
    }

    async fn talk(
        &self,
        place: Place,
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
        channel: &Channel,
        from: SocketAddr,
    ) -> Result<KnownPeer, PairError> {
        let step = self.options.step;
        let (hello, tags, tag) = place.bound(self.hear_tag(stream, channel)).await?;
        drop(place);
        let mut tries = self.desk().await?;
        if !tags.proves(Side::Joiner, &tag)? {
            *tries -= 1;
            return Err(PairError::WrongCode { left: *tries });
        }
        frame::write(stream, Kind::Confirm, &tags.of(Side::Inviter)?, step).await?;
        let request = self.hear(stream, Kind::Request).await?;
        let request: Request = card::open(&request, hello.commitment())?;
        let port = request.port;
        let newcomer = newcomer(request, from.ip().to_canonical());
        let admitted = match channel.dialect {
            Dialect::First => self.admit(&newcomer).await?,
            Dialect::OtherNames => self.admit_as_it_can_be(stream, newcomer).await?,
        };
        let settled = self.settle(stream, &admitted, address(from, port)).await;
        match settled {
            Ok(peer) => {
                self.used.store(true, Ordering::Relaxed);
                Ok(peer)
            }
            Err(error) => Err(self.take_back(&admitted, error).await),
        }
    }

    /// Up to what shows whether it knows the code. Any number may say so much side by side: a guess is made by a tag, and none
    /// is answered out of its turn.
    async fn hear_tag(
        &self,
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
        channel: &Channel,
    ) -> Result<(Hello, Tags, Vec<u8>), PairError> {
        let step = self.options.step;
        let first = frame::read_first(stream, MAX_BODY, step).await?;
        let hello = Hello::parse(body_of(first, Kind::Hello)?)?;
        if let Ok(tries) = self.desk.try_lock() {
            self.check_counts(*tries)?;
        }
        let exchange = Exchange::start(Side::Inviter, &self.code, &self.commitment);
        frame::write(stream, Kind::Hello, &exchange.hello, step).await?;
        let tags = exchange.finish(&hello, &channel.exporter)?;
        let tag = self.hear(stream, Kind::Confirm).await?;
        Ok((hello, tags, tag))
    }

    /// Waits for its turn, while there are tries and time.
    async fn desk(&self) -> Result<MutexGuard<'_, u8>, PairError> {
        let tries = timeout(BUSY.min(self.options.step / 2), self.desk.lock()).await;
        let tries = tries.map_err(|_| PairError::Busy)?;
        self.check_counts(*tries)?;
        Ok(tries)
    }

    /// Whether the code counts, with so many `tries` left.
    fn check_counts(&self, tries: u8) -> Result<(), PairError> {
        if self.used.load(Ordering::Relaxed) {
            Err(PairError::Used)
        } else if tries == 0 {
            Err(PairError::Burned)
        } else if self.is_over() {
            Err(PairError::Expired)
        } else {
            Ok(())
        }
    }

    async fn admit(&self, newcomer: &Newcomer) -> Result<Admitted, PairError> {
        self.check_name(newcomer.name.clone()).await?;
        let newcomer = newcomer.clone();
        self.on_disk(move |certs| ca::admit(certs, &newcomer)).await
    }

    /// Gives the certificates, and keeps who has them.
    async fn settle(
        &self,
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
        admitted: &Admitted,
        address: Option<String>,
    ) -> Result<KnownPeer, PairError> {
        let grant = Grant {
            host: self.card.clone(),
            certificate: admitted.certificate.clone(),
            script_certificate: admitted.script_certificate.clone(),
            crl: read(self.certs.crl())?,
        };
        let grant = serde_json::to_vec(&grant).map_err(PairError::failed)?;
        frame::write(stream, Kind::Grant, &grant, self.options.step).await?;
        let bundle = self.hear(stream, Kind::Ready).await?;
        let remembered = admitted.clone();
        let remember = move |certs: &_| {
            let peer = ca::remember_admitted(certs, &remembered, &bundle, address.as_deref())?;
            Ok((peer, ca::directory_to_give(certs)))
        };
        let (peer, directory) = self.on_disk(remember).await?;
        frame::write(stream, Kind::Done, &directory, self.options.step).await?;
        Ok(peer)
    }

    /// What was given to somebody who does not have it must not count.
    async fn take_back(&self, admitted: &Admitted, error: PairError) -> PairError {
        let name = admitted.name().to_owned();
        let revoked = {
            let name = name.clone();
            self.on_disk(move |certs| ca::take_back(certs, &name)).await
        };
        match revoked {
            Ok(()) => PairError::TakenBack {
                name,
                source: Box::new(error),
            },
            Err(error) => error,
        }
    }

    async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&CertsDir) -> Result<T, TlsError> + Send + 'static,
    ) -> Result<T, PairError> {
        let certs = self.certs.clone();
        let done = tokio::task::spawn_blocking(move || work(&certs)).await;
        Ok(done.map_err(PairError::failed)??)
    }

    async fn hear(
        &self,
        stream: &mut (impl AsyncRead + Unpin),
        kind: Kind,
    ) -> Result<Vec<u8>, PairError> {
        body_of(
            frame::read(stream, MAX_BODY, self.options.step).await?,
            kind,
        )
    }
}

fn body_of(frame: Frame, kind: Kind) -> Result<Vec<u8>, PairError> {
    match frame.kind == kind {
        true => Ok(frame.body),
        false => Err(Breach::FrameTurn.into()),
    }
}

fn newcomer(request: Request, from: IpAddr) -> Newcomer {
    Newcomer {
        name: request.name,
        identity: request.identity,
        script: request.script,
        seal_key: request.seal_key,
        address: Some(from),
    }
}

/// What the other side is told. Before it has proved that it knows the code, that is nothing but this.
fn refusal(error: &PairError) -> Option<Refusal> {
    match error {
        PairError::WrongCode { left } => Some(Refusal::WrongCode { left: *left }),
        PairError::Burned => Some(Refusal::Burned),
        PairError::Expired => Some(Refusal::Expired),
        PairError::Busy => Some(Refusal::Busy),
        PairError::Tls(
            error @ (TlsError::Refused { .. }
            | TlsError::BadName
            | TlsError::AlreadyIssued { .. }
            | TlsError::Trust(TrustError::AliasTaken { .. })),
        ) => Some(Refusal::Refused {
            reason: error.to_string(),
        }),
        PairError::Used => Some(Refusal::Used),
        PairError::Tls(_) | PairError::Failed(_) => Some(Refusal::Refused {
            reason: "it failed over there; that machine says why".into(),
        }),
        _ => None,
    }
}

/// Where the new peer will serve, as we reach it.
fn address(mut from: SocketAddr, port: Option<u16>) -> Option<String> {
    from.set_port(port.filter(|port| *port > 0)?);
    Some(PeerAddress::from(from).to_string())
}

fn read(path: std::path::PathBuf) -> Result<String, PairError> {
    let text = private::read_text(&path);
    text.map_err(|source| TlsError::Io { path, source }.into())
}

#[cfg(test)]
mod tests;
