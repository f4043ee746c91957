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
    session::{self, PassedOver, ReceiveInto, ReceiveOutcome, ReceiveRequest},
    transfer::TransferError,
};

pub(super) async fn run(context: &Context, args: Receive) -> Result<ExitCode, Failure> {
    let mut request = request(args.which, args.out, args.secret).await?;
    request.pace = pace(args.limit.as_deref())?;
    request.retry_for = args.patience.time()?;
    request.jobs = args.jobs.map(usize::from);
    (request.again, request.mine, request.keep_exec) = (args.again, args.mine, args.keep_exec);
    (request.from, request.all) = (args.from.clone(), args.all);
    let received = context.session()?.receive(request).await;
    let nothing = match &received {
        Ok(outcome) => nothing_new(&args.from, outcome),
        Err(_) => String::new(),
    };
    end(context, received, &nothing)
}

/// That nothing has come `from` there, and what was passed over.
fn nothing_new(from: &[String], outcome: &ReceiveOutcome) -> String {
    let from = match from {
        [] => "here".to_owned(),
        peers => format!("from {}", peers.join(", ")),
    };
    if !outcome.locked.is_empty() {
        return "nothing there that we can open".to_owned();
    }
    let PassedOver { before, mine } = outcome.passed_over;
    let left = [
        (before, "decided on before: --again"),
        (mine, "sent from here: --mine"),
    ];
    let left = left.into_iter().filter(|(count, _)| *count > 0);
    let left = left.map(|(count, what)| format!("{count} {what}"));
    let left = left.collect::<Vec<_>>().join(", ");
    match left.is_empty() {
        true => format!("nothing new {from}"),
        false => format!("nothing new {from} ({left})"),
    }
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

/// How a command ends that has received; `nothing` is said if there was nothing to receive.
pub(super) fn end(
    context: &Context,
    received: Result<ReceiveOutcome, session::Error>,
    nothing: &str,
) -> Result<ExitCode, Failure> {
    match received {
        Ok(outcome) => {
            if outcome.received.is_empty() {
                context.output.talk(nothing);
            }
            Ok(code(outcome.complete))
        }
        // A reader that goes away has what it wanted, as `head` has.
        Err(session::Error::Transfer(TransferError::Output(error)))
            if error.kind() == io::ErrorKind::BrokenPipe =>
        {
            Ok(ExitCode::Ok)
        }
        Err(error) => Err(error.into()),
    }
}
