//! `pair`: lets a new machine join the circle by a short code, or joins one.

use std::{
    fs::File,
    future::Future,
    io::{self, IsTerminal as _, Read as _},
    path::Path,
    pin::{Pin, pin},
    sync::Arc,
};

use zeroize::Zeroizing;

use super::{
    Context,
    args::Pair,
    report::{ExitCode, Failure},
    show, signals, standard, terminal,
};
use crate::{
    config::units::DurationText,
    pair::{Code, CodeError, PAIRING_PORT, PairError},
    session::{
        Event, Reporter,
        pair::{self, InviteRequest, Inviting, JoinRequest, Joining},
    },
};

/// Bytes of a code file that are looked at.
const MAX_CODE: u64 = 256;
const NOTHING_KEPT: &str = "interrupted; nothing was kept";

pub(super) async fn run(context: &Context, args: Pair) -> Result<ExitCode, Failure> {
    match &args.host {
        Some(host) => join(context, &args, host).await,
        None => invite(context, &args).await,
    }
}

async fn invite(context: &Context, args: &Pair) -> Result<ExitCode, Failure> {
    let (home, config) = (&context.home, &context.config);
    let reporter: Arc<dyn Reporter> = context.screen();
    let life = args.life.as_deref().map(str::parse::<DurationText>);
    let request = InviteRequest {
        port: args.port,
        life: life.transpose()?.map(DurationText::duration),
    };
    if let Some(made) = pair::make_circle(home, args.name.as_deref())? {
        show::pair::made_circle(context.output, made);
    }
    let mut inviting = Inviting::start(home, config, &reporter, request).await?;
    let interrupted = "interrupted; the code counts no more";
    let paired = until_interrupted(inviting.paired(), interrupted).await;
    inviting.finish().await?;
    context.tell(&Event::Paired(Box::new(paired?)));
    Ok(ExitCode::Ok)
}

async fn join(context: &Context, args: &Pair, typed: &str) -> Result<ExitCode, Failure> {
    let reporter: Arc<dyn Reporter> = context.screen();
    let mut request = JoinRequest::of(typed.parse()?);
    request.name = args.name.clone();
    let finding = Joining::find(&context.home, &context.config, &reporter, request);
    let joining = until_interrupted(finding, NOTHING_KEPT).await?;
    let code = read_code(args).await?;
    let work = pin!(joining.join(code));
    let joined = until_interrupted_before(|| joining.is_last_step(), work).await?;
    context.tell(&Event::Joined(joined));
    Ok(ExitCode::Ok)
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
            let input = standard::input("give it the code, or a file: --code-file FILE")?;
            let reading = async {
                let read = tokio::task::spawn_blocking(|| first_line(input)).await;
                let read = read.map_err(|e| Failure::new(ExitCode::Storage, e))?;
                read.map_err(|e| Failure::io(stdin, &e))
            };
            until_interrupted(reading, NOTHING_KEPT).await?
        }
    };
    Ok(text.parse::<Code>()?)
}

async fn ask() -> Result<Zeroizing<String>, Failure> {
    let ask = || {
        loop {
            let text = terminal::read_line("Code")?;
            match text.parse::<Code>() {
                Ok(_) => return Ok(text),
                Err(error) => terminal::say(&say_code_error(&error)),
            }
        }
    };
    terminal::asked("code", NOTHING_KEPT, ask).await
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
    signals::interruptible(work, interrupted, Some("run the same command again")).await
}

/// Ends with the work if an interruption comes in its last step, else at once.
async fn until_interrupted_before<T, E: Into<Failure>>(
    is_last_step: impl Fn() -> bool,
    mut work: Pin<&mut impl Future<Output = Result<T, E>>>,
) -> Result<T, Failure> {
    match until_interrupted(work.as_mut(), NOTHING_KEPT).await {
        Err(failure) if failure.code.is_interruption() && is_last_step() => {
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
        let failure = || Self::of(&error);
        match error {
            PairError::WrongCode { left: 1.. } => {
                failure().hint("compare it with what the other machine shows, and try again")
            }
            PairError::WrongCode { .. } | PairError::Burned | PairError::Used | PairError::Expired => {
                failure().hint("a new code on the circle's machine: colis pair")
            }
            PairError::Impostor => failure().hint(
                "somebody else may be between: check the address, and take a new code: colis pair",
            ),
            PairError::Refused { .. } => failure()
                .hint(
                "another name helps if that one is taken: --name NAME; the code still counts. If its machine lost it, on the \
                 circle's machine: colis certs revoke NAME",
            ),
            PairError::Unreachable { .. } => failure().hint(format!(
                "is a code being shown there now? it listens on port {PAIRING_PORT} unless it says otherwise"
            )),
            PairError::Busy => failure().hint("try again in a few seconds"),
            PairError::NoAddress => failure(),
            PairError::Silent | PairError::Broken(_) | PairError::TakenBack { .. } => {
                failure().hint("try again; nothing was kept")
            }
            PairError::Protocol(_) => failure()
                .hint("is it `colis pair` that listens there, of a like version?"),
            PairError::Undecided => failure().hint(
                "pair again; if the name is taken now, on the circle's machine: colis certs revoke NAME",
            ),
            PairError::HasCertificates { .. } => failure().hint(
                "nothing was changed; leave this circle first: colis certs leave; or join from another home: --home DIR",
            ),
            PairError::Tls(error) => error.into(),
            PairError::Failed(_) => failure(),
        }
    }
}
