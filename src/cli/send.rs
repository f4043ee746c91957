//! `send` and `share`.

use std::num::NonZeroU64;

use super::{
    Context,
    args::{Seal, Send, Share},
    password::Purpose,
    report::{ExitCode, Failure},
};
use crate::{
    config::units::{DurationText, SizeText},
    session::{Event, Lifetime, Mistake, Sealing, SendRequest, Sent},
    store::Pace,
    transfer::Sources,
};

pub(super) async fn send(context: &Context, args: Send) -> Result<ExitCode, Failure> {
    if args.to.is_empty() && args.via.is_empty() {
        return Err(Mistake::NobodyToSendTo.into());
    }
    if args.to.is_empty() && !args.seal.wants_password() {
        return Err(Mistake::NobodyCouldOpen.into());
    }
    // What is typed wrong is said before anybody is asked.
    let sources = args.seal.sources(&context.home, &context.config)?;
    let mut request = SendRequest::to(args.to);
    request.sealing = args.seal.sealing(args.jobs).await?;
    request.pace = pace(args.limit.as_deref())?;
    (request.via, request.keep, request.wait) = (args.via, args.keep, args.wait);
    let session = context.session()?;
    if args.dry_run {
        let planned = session.plan(&sources, &request).await?;
        if let Sources::Tree(tree) = &sources {
            let entries = tree.entries.iter().cloned();
            entries.for_each(|entry| session.tell(Event::Entry(entry)));
        }
        let complete = !sources.left_out().iter().any(|left| left.why.is_missed());
        session.tell(Event::WouldSend(planned));
        return Ok(code(complete));
    }
    let sent = session.send(sources, &request).await?;
    Ok(end(context, sent))
}

pub(super) async fn share(context: &Context, args: Share) -> Result<ExitCode, Failure> {
    let sources = args.seal.sources(&context.home, &context.config)?;
    let mut sealing = args.seal.sealing(None).await?;
    sealing.lifetime = sealing.lifetime.or(Some(Lifetime::Endless));
    let session = context.session()?;
    let sent = session.share(sources, &args.to, &sealing).await?;
    Ok(end(context, sent))
}

fn end(context: &Context, sent: Sent) -> ExitCode {
    let complete = sent.complete;
    context.tell(&Event::Sent(sent));
    code(complete)
}

/// How many bytes a second may move, if that was asked for.
pub(super) fn pace(asked: Option<&str>) -> Result<Option<Pace>, Failure> {
    let Some(asked) = asked else {
        return Ok(None);
    };
    let limit = NonZeroU64::new(asked.parse::<SizeText>()?.bytes());
    Ok(Some(Pace::new(limit.ok_or(Mistake::MovesNothing)?)))
}

/// How a command ends that did all it could.
pub(super) fn code(complete: bool) -> ExitCode {
    match complete {
        true => ExitCode::Ok,
        false => ExitCode::Partial,
    }
}

impl Seal {
    pub(super) fn wants_password(&self) -> bool {
        self.password || self.secret.is_given()
    }

    /// How it was asked to seal. Reads the password, if one was asked for.
    pub(super) async fn sealing(&self, jobs: Option<u8>) -> Result<Sealing, Failure> {
        let mut sealing = Sealing::default();
        if let Some(size) = self.chunk_size.as_deref() {
            let size = size.parse::<SizeText>()?.bytes();
            sealing.chunk_size = Some(u32::try_from(size).map_err(|_| Mistake::ChunkSize)?);
        }
        sealing.lifetime = match self.expires.as_deref() {
            None => None,
            Some("never") => Some(Lifetime::Endless),
            Some(text) => Some(Lifetime::For(text.parse::<DurationText>()?.duration())),
        };
        sealing.jobs = jobs.map(usize::from);
        sealing.check()?;
        if self.wants_password() {
            sealing.password = Some(self.secret.read(Purpose::Seal).await?);
        }
        Ok(sealing)
    }
}
