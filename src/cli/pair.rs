//! `pair`: lets a new machine join the circle by a short code, or joins one.

mod doorstep;
mod find;
mod hosts;
mod picture;

use std::{
    fmt::Display,
    fs::File,
    future::Future,
    io::{self, IsTerminal as _, Read as _},
    net::SocketAddr,
    path::Path,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use tokio::net::TcpListener;
use zeroize::Zeroizing;

use super::{
    Context,
    args::Pair,
    report::{ExitCode, Failure},
    serve::discovery,
    signals::Ending,
    terminal,
};
use crate::{
    address::{DEFAULT_LISTEN, PeerAddress},
    config::units::DurationText,
    discover::{Announcement, Service},
    manifest::Signer as _,
    name::{Escaped, PathText},
    pair::{
        self, Code, CodeError, Invitation, Joined, NameCheck, PAIRING_PORT, PairError, PairOptions,
        Wish,
    },
    server::{self, BindError},
    session::{Event, Reporter, ask::Asked, certs::MadePeer, host_name},
    store::LocalStore,
    tls::{
        self, CertsDir, Identity, Joining, TlsError,
        ca::{self, CertificateOptions},
    },
    trust::{NAME_RULE, is_peer_name},
};

use doorstep::Doorstep;
pub(super) use find::Inviter;
use find::is_name;
use hosts::ITS_INTERFACE;

/// Bytes of a code file that are looked at.
const MAX_CODE: u64 = 256;
const NOTHING_KEPT: &str = "interrupted; nothing was kept";

pub(super) async fn run(context: &Context, args: Pair) -> Result<ExitCode, Failure> {
    tls::remove_left_keys(&CertsDir::new(context.home.certs()))?;
    match &args.host {
        Some(host) => join(context, &args, host).await,
        None => invite(context, &args).await,
    }
}

async fn invite(context: &Context, args: &Pair) -> Result<ExitCode, Failure> {
    let certs = CertsDir::new(context.home.certs());
    match (certs.ca_key().exists(), &args.name) {
        (true, None) => {}
        (true, Some(_)) => {
            let failure =
                Failure::usage("--name is for a machine that is new, and this one has a name");
            return Err(failure.hint("leave it out here; the other machine may use it"));
        }
        (false, _) => make_circle(context, args, &certs)?,
    }
    take_back_pending(context, certs.clone(), Duration::ZERO).await?;
    let taken = ask_members(context).await;
    let life = args.life.as_deref().map(str::parse::<DurationText>);
    let mut options = PairOptions::default();
    options.life = life
        .transpose()?
        .map_or(options.life, DurationText::duration);
    let listener = bind(context, args.port)?;
    let address = listener.local_addr();
    let address = address.map_err(|e| Failure::new(ExitCode::Storage, e))?;
    let code = Code::generate().map_err(|e| Failure::new(ExitCode::Storage, e))?;
    let identity = Identity::load(&certs)?;
    let (name, id) = (identity.name(), identity.peer_id());
    let announcement = Announcement::start(discovery(context), Service::Pairing, name, id, address);
    let name = announcement.is_some().then_some(name);
    show(context, &code, address, name, &options);
    let (tries, patience) = (options.tries, options.step);
    let invitation = Invitation {
        code,
        certs: certs.clone(),
        port: serving_port(context),
        options,
        taken,
    };
    let mut doorstep = Doorstep::new(context.output, tries);
    let inviting = pair::invite(listener, invitation, |event| doorstep.came(&event));
    let paired = until_interrupted(inviting, "interrupted; the code counts no more").await;
    doorstep.sum_up();
    if let Some(announcement) = announcement {
        announcement.end().await;
    }
    take_back_pending(context, certs, patience).await?;
    let paired = paired?;
    let peer = &paired.peer;
    let address = peer
        .addresses
        .first()
        .map_or("no address yet", String::as_str);
    let line = format!("{}  {}  {address}", Escaped::new(&peer.name), peer.peer_id);
    context.output.line(line);
    context.output.object("paired", peer);
    context.output.talk(format!(
        "{} has joined from {}; next: colis send FILE --to {}",
        Escaped::new(&peer.name),
        paired.from.ip().to_canonical(),
        Escaped::new(&peer.name)
    ));
    Ok(ExitCode::Ok)
}

/// Asks the members that answer what they know, and who they know.
async fn ask_members(context: &Context) -> NameCheck {
    let reporter: Arc<dyn Reporter> = context.screen();
    let asked = Asked::known_peers(&context.home, &context.config, &reporter).await;
    asked.into_check()
}

/// Revokes what was on its way to a machine when the pairing ended. If another `pair` of this home is at it, that one does.
pub(super) async fn take_back_pending(
    context: &Context,
    certs: CertsDir,
    patience: Duration,
) -> Result<(), Failure> {
    let revoked = tokio::task::spawn_blocking(move || ca::revoke_pending(&certs, patience)).await;
    let revoked = revoked.map_err(|e| Failure::new(ExitCode::Storage, e))?;
    for name in revoked?.unwrap_or_default() {
        let name = Escaped::new(&name);
        context.output.warn(format!(
            "{name} did not say that it has its certificates, so they are revoked again"
        ));
    }
    Ok(())
}

/// The first of two new machines makes the circle that the other joins.
fn make_circle(context: &Context, args: &Pair, certs: &CertsDir) -> Result<(), Failure> {
    if Joining::check_place(certs).is_err() {
        let failure = Failure::from(TlsError::NotTheCircle {
            path: certs.ca_key(),
        });
        return Err(failure.hint(
            "run it on the machine that made the circle; to join another: colis --home DIR pair HOST",
        ));
    }
    let identity = ca::init(certs, &own_name(args)?, &CertificateOptions::default())?;
    let (name, path) = (identity.name(), certs.path().display());
    context.output.talk(format!(
        "made a circle; this machine is {name}, its certificates are in {path}"
    ));
    let made = MadePeer::of(&identity, certs);
    context.output.event(&Event::Made(made));
    Ok(())
}

/// What this machine is to be called.
fn own_name(args: &Pair) -> Result<String, Failure> {
    let unnamed =
        || Failure::usage("this machine has no name that could be used").hint("--name NAME");
    let name = args.name.clone().or_else(host_name).ok_or_else(unnamed)?;
    match is_peer_name(&name) {
        true => Ok(name),
        false => {
            Err(Failure::usage(format!("bad name {name:?}: {NAME_RULE}")).hint("--name box-1"))
        }
    }
}

/// Listens where this peer does, on a port of its own. If that is taken and was not asked for, another one does as well:
/// what is to be typed is shown anyway.
fn bind(context: &Context, asked: Option<u16>) -> Result<TcpListener, Failure> {
    let mut listen = context.config.listen.unwrap_or(DEFAULT_LISTEN);
    listen.set_port(asked.unwrap_or(PAIRING_PORT));
    let mut bound = server::bind(listen);
    if asked.is_none() && matches!(bound, Err(BindError::AddressInUse { .. })) {
        listen.set_port(0);
        bound = server::bind(listen);
    }
    let failed = |e: &dyn Display| Failure::new(ExitCode::Storage, e);
    let listener = bound.map_err(|e| failed(&e).hint("choose another: --port 8445"))?;
    TcpListener::from_std(listener).map_err(|e| failed(&e))
}

/// Says the code, and what to type where: an address, or the `name` if that is announced.
fn show(
    context: &Context,
    code: &Code,
    listen: SocketAddr,
    name: Option<&str>,
    options: &PairOptions,
) {
    let output = context.output;
    let (hosts, name) = (hosts::of(listen), name.filter(|name| is_name(name)));
    output.object(
        "code",
        &json!({"code": code.expose(), "hosts": hosts, "name": name, "port": listen.port(),
            "seconds": options.life.as_secs(), "tries": options.tries}),
    );
    let ways = hosts.iter().map(String::as_str).chain(name);
    output.talk("On the new machine type:");
    for way in ways {
        output.line(format!("  colis pair {way}"));
    }
    let is_scoped = |host: &String| host.contains(ITS_INTERFACE);
    if hosts.iter().any(is_scoped) {
        output.talk(format!(
            "with its network interface for {ITS_INTERFACE}, for instance eth0,"
        ));
    }
    output.talk("and then the code:");
    output.line(format!("  {}", code.expose()));
    if let Some(host) = hosts.first().filter(|host| !is_scoped(host))
        && let Some(picture) = picture::of_command(host)
    {
        output.talk(picture);
    }
    let (minutes, tries) = (options.life.as_secs().div_ceil(60), options.tries);
    output.talk(format!(
        "It counts for one machine, {minutes} minutes and {tries} tries. Ctrl-C ends it."
    ));
}

async fn join(context: &Context, args: &Pair, typed: &str) -> Result<ExitCode, Failure> {
    let certs = CertsDir::new(context.home.certs());
    Joining::check_place(&certs).map_err(PairError::from)?;
    let inviter: Inviter = typed.parse()?;
    let name = own_name(args)?;
    let found = until_interrupted(inviter.find(context), NOTHING_KEPT).await?;
    let wish = Wish {
        code: read_code(args).await?,
        name,
        certs,
        port: serving_port(context),
        host: found.host,
        options: PairOptions::default(),
        is_last_step: Arc::default(),
    };
    let is_last_step = wish.is_last_step.clone();
    let joining = pin!(join_one(context, &inviter, &found.addresses, wish));
    let joined = until_interrupted_before(&is_last_step, joining).await?;
    let (name, id) = (joined.identity.name(), joined.identity.peer_id());
    let path = context.home.certs();
    let line = format!("{name}  {id}  {}", path.display());
    context.output.line(line);
    context.output.object(
        "joined",
        &json!({"name": name, "peer_id": id, "folder": PathText(&path), "issuer": joined.issuer}),
    );
    let issuer = Escaped::new(&joined.issuer);
    context.output.talk(format!(
        "joined the circle of {issuer}; next: colis serve, or colis send FILE --to {issuer}"
    ));
    Ok(ExitCode::Ok)
}

/// Joins where the machine was found. A host may be called as the one that shows the code, and be another: if nobody answers
/// there, that one is looked for in the network.
async fn join_one(
    context: &Context,
    inviter: &Inviter,
    found: &[SocketAddr],
    mut wish: Wish,
) -> Result<Joined, Failure> {
    let joined = pair::join(found, &wish).await;
    if !matches!(joined, Err(PairError::Unreachable { .. })) || wish.host.take().is_none() {
        return Ok(joined?);
    }
    match inviter.look(context).await {
        Ok(Some(seen)) => Ok(pair::join(&seen.addresses, &wish).await?),
        Err(failure) if failure.code == ExitCode::Usage => Err(failure),
        Ok(None) | Err(_) => Ok(joined?),
    }
}

/// Where this peer serves, or will by its settings.
fn serving_port(context: &Context) -> Option<u16> {
    let serving = LocalStore::serving_address(&context.home.chunks());
    let serving = serving.and_then(|address| address.parse::<PeerAddress>().ok());
    let serving = serving.map(|address| address.port());
    let port = serving.unwrap_or_else(|| context.config.listen.unwrap_or(DEFAULT_LISTEN).port());
    (port > 0).then_some(port)
}

/// The code, from where the flags say, else from the terminal, else a line of standard input.
async fn read_code(args: &Pair) -> Result<Code, Failure> {
    let stdin = Path::new("-");
    let text = match args.code_file.as_deref() {
        Some(path) if path != stdin => {
            let file = File::open(path).map_err(|e| Failure::io(path, &e))?;
            first_line(file).map_err(|e| Failure::io(path, &e))?
        }
        None if io::stdin().is_terminal() && io::stderr().is_terminal() => ask().await?,
        _ => {
            let reading = async {
                let read = tokio::task::spawn_blocking(|| first_line(io::stdin())).await;
                let read = read.map_err(|e| Failure::new(ExitCode::Storage, e))?;
                read.map_err(|e| Failure::io(stdin, &e))
            };
            until_interrupted(reading, NOTHING_KEPT).await?
        }
    };
    Ok(text.parse::<Code>()?)
}

async fn ask() -> Result<Zeroizing<String>, Failure> {
    let asked = tokio::task::spawn_blocking(|| {
        loop {
            let text = terminal::read_line("Code")?;
            match text.parse::<Code>() {
                Ok(_) => return Ok(text),
                Err(error) => terminal::say(&say_code_error(&error)),
            }
        }
    });
    let asked = asked
        .await
        .map_err(|e| Failure::new(ExitCode::Storage, e))?;
    asked.map_err(|error: io::Error| match error.kind() {
        io::ErrorKind::Interrupted => Failure::new(ExitCode::Interrupted, NOTHING_KEPT),
        io::ErrorKind::UnexpectedEof => Failure::usage("no code was given"),
        _ => Failure::usage(format!("no code: {error}")),
    })
}

fn first_line(input: impl io::Read) -> io::Result<Zeroizing<String>> {
    let mut line = Zeroizing::new(String::with_capacity(MAX_CODE as usize));
    for byte in io::BufReader::new(input.take(MAX_CODE)).bytes() {
        match byte? {
            b'\n' => break,
            byte if byte.is_ascii() => line.push(char::from(byte)),
            _ => return Err(io::ErrorKind::InvalidData.into()),
        }
    }
    Ok(line)
}

async fn until_interrupted<T, E: Into<Failure>>(
    work: impl Future<Output = Result<T, E>>,
    interrupted: &str,
) -> Result<T, Failure> {
    let ending = Ending::new();
    let ending = ending.map_err(|e| Failure::new(ExitCode::Storage, format!("signals: {e}")))?;
    tokio::select! {
        done = work => done.map_err(Into::into),
        asked = ending.comes() => {
            Err(Failure::new(asked.code(), interrupted).hint("run the same command again"))
        }
    }
}

/// Ends with the work if an interruption comes in its last step, else at once.
async fn until_interrupted_before<T, E: Into<Failure>>(
    is_last_step: &AtomicBool,
    mut work: Pin<&mut impl Future<Output = Result<T, E>>>,
) -> Result<T, Failure> {
    match until_interrupted(work.as_mut(), NOTHING_KEPT).await {
        Err(failure) if failure.code.is_interruption() && is_last_step.load(Ordering::SeqCst) => {
            work.await.map_err(Into::into)
        }
        done => done,
    }
}

fn say_code_error(error: &CodeError) -> String {
    match error {
        CodeError::Word {
            nearest: Some(nearest),
            ..
        } => format!("{error}; {nearest}, perhaps?"),
        _ => error.to_string(),
    }
}

impl From<CodeError> for Failure {
    fn from(error: CodeError) -> Self {
        Self::usage(say_code_error(&error)).hint("nothing was tried; type it as it is shown")
    }
}

impl From<PairError> for Failure {
    fn from(error: PairError) -> Self {
        use ExitCode as Exit;
        let failure = |code| Self::new(code, &error);
        match error {
            PairError::WrongCode { left: 1.. } => {
                failure(Exit::Trust).hint("compare it with what the other machine shows, and try again")
            }
            PairError::WrongCode { .. } | PairError::Burned | PairError::Expired => {
                failure(Exit::Trust).hint("a new code on the circle's machine: colis pair")
            }
            PairError::Impostor => failure(Exit::Trust).hint(
                "somebody else may be between: check the address, and take a new code: colis pair",
            ),
            PairError::Refused { .. } => failure(Exit::Trust)
                .hint(
                "another name helps if that one is taken: --name NAME; the code still counts. If its machine lost it, on the \
                 circle's machine: colis certs revoke NAME",
            ),
            PairError::Unreachable { .. } => failure(Exit::Network).hint(format!(
                "is a code being shown there now? it listens on port {PAIRING_PORT} unless it says otherwise"
            )),
            PairError::Busy => failure(Exit::Network).hint("try again in a few seconds"),
            PairError::Silent | PairError::Broken(_) | PairError::TakenBack { .. } => {
                failure(Exit::Network).hint("try again; nothing was kept")
            }
            PairError::Protocol { .. } => failure(Exit::Network)
                .hint("is it `colis pair` that listens there, of a like version?"),
            PairError::Undecided => failure(Exit::Network).hint(
                "pair again; if the name is taken now, on the circle's machine: colis certs revoke NAME",
            ),
            PairError::Tls(TlsError::Exists { path }) => {
                let what = format!("this home has certificates already: {}", path.display());
                Self::new(Exit::Config, what)
                    .hint("nothing was changed; join another circle from another home: --home DIR")
            }
            PairError::Tls(error) => error.into(),
            PairError::Failed(_) => failure(Exit::Storage),
        }
    }
}
