//! `seal` and `open`: a transfer as a plain folder, carried by whatever carries files.

use super::{
    Context,
    args::{OpenFolder, SealFolder},
    receive,
    report::{ExitCode, Failure},
    send::code,
};
use crate::session::{Event, Mistake, SealRequest};

pub(super) async fn seal(context: &Context, args: SealFolder) -> Result<ExitCode, Failure> {
    if args.to.is_empty() && !args.seal.wants_password() {
        return Err(Mistake::NobodyCouldOpen.into());
    }
    let sources = args.seal.sources(&context.home, &context.config)?;
    let mut request = SealRequest::into(args.out, args.to);
    request.sealing = args.seal.sealing(None).await?;
    let sealed = context.session()?.seal(sources, &request).await?;
    let complete = sealed.complete;
    context.tell(&Event::Sealed(sealed));
    Ok(code(complete))
}

pub(super) async fn open(context: &Context, args: OpenFolder) -> Result<ExitCode, Failure> {
    let mut request = receive::request(Vec::new(), args.out, args.secret).await?;
    (request.keep_exec, request.jobs) = (args.keep_exec, args.jobs.map(usize::from));
    let opened = context.session()?.open_folder(&args.folder, request).await;
    if opened
        .as_ref()
        .is_ok_and(|outcome| outcome.received.is_empty())
    {
        context.output.talk("nothing there that we can open");
    }
    receive::end(opened)
}
