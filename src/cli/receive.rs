//! `receive`.

use std::{io, path::PathBuf, sync::Arc};

use super::{
    Context,
    args::{Receive, Secret},
    password::Purpose,
    report::{ExitCode, Failure},
    send::{code, pace},
    standard,
};
use crate::{
    session::{self, Event, NothingNew, ReceiveInto, ReceiveOutcome, ReceiveRequest},
    transfer::TransferError,
};

pub(super) async fn run(context: &Context, args: Receive) -> Result<ExitCode, Failure> {
    let mut request = request(args.which, args.out, args.secret).await?;
    request.pace = pace(args.limit.as_deref())?;
    request.retry_for = args.patience.time()?;
    request.jobs = args.jobs.map(usize::from);
    (request.again, request.mine, request.keep_exec) = (args.again, args.mine, args.keep_exec);
    // What else is wanted than what is new is wanted of all.
    request.all = args.all || args.again || args.mine;
    request.from = args.from.clone();
    let received = context.session()?.receive(request).await;
    if let Ok(outcome) = &received
        && outcome.received.is_empty()
    {
        context.tell(&Event::NothingNew(NothingNew::of(&args.from, outcome)));
    }
    end(received)
}

/// What the flags of all commands that receive ask for. Reads the password, if it is said where it is.
pub(super) async fn request(
    which: Vec<String>,
    out: Option<PathBuf>,
    secret: Secret,
) -> Result<ReceiveRequest, Failure> {
    let mut request = ReceiveRequest::named(which);
    request.into = match out {
        None => ReceiveInto::Home,
        Some(out) if out.as_os_str() == "-" => {
            let hint = "send it to a file or a program, or name a folder: --out DIR";
            ReceiveInto::writer(standard::output(hint)?)
        }
        Some(out) => ReceiveInto::Folder(out),
    };
    if secret.is_given() {
        request.password = Some(secret.read(Purpose::Open).await?);
    }
    request.ask = Some(Arc::new(secret));
    Ok(request)
}

/// How a command ends that has received.
pub(super) fn end(received: Result<ReceiveOutcome, session::Error>) -> Result<ExitCode, Failure> {
    match received {
        Ok(outcome) => Ok(code(outcome.complete)),
        // A reader that goes away has what it wanted, as `head` has.
        Err(session::Error::Transfer(TransferError::Output(error)))
            if error.kind() == io::ErrorKind::BrokenPipe =>
        {
            Ok(ExitCode::Ok)
        }
        Err(error) => Err(error.into()),
    }
}
