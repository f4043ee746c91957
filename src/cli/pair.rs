//! `pair`: lets a new machine join the circle by a short code, or joins one.

mod after;
mod code;

use std::{
    future::Future,
    pin::{Pin, pin},
    sync::Arc,
};

use super::{
    Context,
    args::Pair,
    logging::{self, LateFile},
    report::{ExitCode, Failure},
    show, signals,
};
use crate::{
    config::units::DurationText,
    name::Escaped,
    pair::PairError,
    session::{
        Error, Event, Reporter,
        pair::{
            self, IfTaken, InviteRequest, Inviting, JoinRequest, JoinedCircle, Joining, PairedPeer,
        },
    },
};
pub(super) use code::Source;

const NOTHING_KEPT: &str = "interrupted; nothing was kept";

pub(super) async fn run(context: &Context, args: Pair) -> Result<ExitCode, Failure> {
    let log = LateFile::default();
    logging::start_before_serving(&context.global, log.clone());
    let serving_port = serving_port(context, &args)?;
    let other = match &args.host {
        Some(host) => {
            let mut request = JoinRequest::of(host.parse()?);
            request.name = args.name.clone();
            request.port = serving_port;
            if args.name.is_some() {
                request.if_taken = IfTaken::Fail;
            }
            join(context, request, Source::of(&args)).await?.issuer
        }
        None => invite(context, &args, serving_port).await?.peer.name,
    };
    // What serves may go on for months.
    context.home.mark();
    after::run(context, &args, &Escaped::new(&other).to_string(), &log).await
}

/// The port that the other machine is told. Whoever is to serve is told before the pairing that it could not.
fn serving_port(context: &Context, args: &Pair) -> Result<Option<u16>, Failure> {
    let error = match pair::serving_port(&context.home, &context.config, args.listen) {
        Ok(port) => return Ok(port),
        Err(error) => error,
    };
    let choose = "choose another: --listen :9443";
    if args.serve || args.listen.is_some() {
        return Err(Failure::new(ExitCode::Storage, error).hint(choose));
    }
    context.output.warn(format!(
        "this machine could not serve: {error}; the other machine is not told where this one serves; {choose}"
    ));
    Ok(None)
}

/// Shows a code until a machine has joined by it.
pub(super) async fn invite(
    context: &Context,
    args: &Pair,
    serving_port: Option<u16>,
) -> Result<PairedPeer, Failure> {
    let (home, config) = (&context.home, &context.config);
    let reporter: Arc<dyn Reporter> = context.screen();
    let life = args.life.as_deref().map(str::parse::<DurationText>);
    let request = InviteRequest {
        port: args.port,
        life: life.transpose()?.map(DurationText::duration),
        serving_port,
    };
    if let Some(made) = pair::make_circle(home, args.name.as_deref(), &*reporter)? {
        show::pair::made_circle(context.output, made);
    }
    let mut inviting = Inviting::start(home, config, &reporter, request).await?;
    let interrupted = "interrupted; the code counts no more";
    let paired = until_interrupted(inviting.paired(), interrupted).await;
    inviting.finish().await?;
    let paired = paired?;
    context.tell(&Event::Paired(Box::new(paired.clone())));
    Ok(paired)
}

/// Joins the circle of the machine that shows a code. A person is asked for it once somebody is there, and again if it is wrong.
pub(super) async fn join(
    context: &Context,
    request: JoinRequest,
    source: Source<'_>,
) -> Result<JoinedCircle, Failure> {
    let reporter: Arc<dyn Reporter> = context.screen();
    let finding = async {
        let mut joining = Joining::find(&context.home, &context.config, &reporter, request).await?;
        if matches!(source, Source::Person) {
            joining.reach().await?;
        }
        Ok::<_, Error>(joining)
    };
    let joining = until_interrupted(finding, NOTHING_KEPT).await?;
    loop {
        let code = source.read().await?;
        let work = pin!(joining.join(code));
        match until_interrupted_before(|| joining.is_last_step(), work).await {
            Err(Unjoined::WrongCode(failure)) if matches!(source, Source::Person) => {
                failure.print(context.output);
            }
            Err(Unjoined::WrongCode(failure) | Unjoined::Otherwise(failure)) => {
                return Err(failure);
            }
            Ok(joined) => {
                context.tell(&Event::Joined(joined.clone()));
                return Ok(joined);
            }
        }
    }
}

/// Why a machine has not joined.
enum Unjoined {
    /// The code was wrong, and may be tried again.
    WrongCode(Failure),
    Otherwise(Failure),
}

impl From<Error> for Unjoined {
    fn from(error: Error) -> Self {
        let may_be_tried_again = matches!(error, Error::Pair(PairError::WrongCode { left: 1.. }));
        match may_be_tried_again {
            true => Self::WrongCode(error.into()),
            false => Self::Otherwise(error.into()),
        }
    }
}

async fn until_interrupted<T, E: Into<Failure>>(
    work: impl Future<Output = Result<T, E>>,
    interrupted: &str,
) -> Result<T, Failure> {
    signals::interruptible(work, interrupted, Some("run the same command again")).await
}

/// Ends with the work if an interruption comes in its last step, else at once.
async fn until_interrupted_before<T>(
    is_last_step: impl Fn() -> bool,
    mut work: Pin<&mut impl Future<Output = Result<T, Error>>>,
) -> Result<T, Unjoined> {
    // Its own failures stay what they are.
    let done = async { Ok::<_, Failure>(work.as_mut().await) };
    match until_interrupted(done, NOTHING_KEPT).await {
        Ok(done) => Ok(done?),
        Err(failure) if failure.code.is_interruption() && is_last_step() => Ok(work.await?),
        Err(failure) => Err(Unjoined::Otherwise(failure)),
    }
}
