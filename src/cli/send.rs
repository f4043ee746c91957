//! `send` and `share`.

use std::{num::NonZeroU64, time::Duration};

use super::{
    Context,
    args::{Patience, Seal, Send, Share},
    password::Purpose,
    report::{ExitCode, Failure},
};
use crate::{
    config::units::{DurationText, SizeText},
    session::{
        Event, Lifetime, Missed, Mistake, ResumeRequest, Sealing, SendRequest, Sent, UnfinishedSend,
    },
    store::Pace,
    transfer::Sources,
};

pub(super) async fn send(context: &Context, args: Send) -> Result<ExitCode, Failure> {
    if !args.resume.is_empty() {
        return resume(context, args).await;
    }
    if !args.drop.is_empty() {
        let dropped = context.session()?.drop_unfinished(&args.drop).await?;
        return Ok(no_unfinished(context, &dropped));
    }
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
    request.retry_for = args.patience.time()?;
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

/// Goes on with one after the other. One that fails is told, and keeps no other from going on.
async fn resume(context: &Context, args: Send) -> Result<ExitCode, Failure> {
    let session = context.session()?;
    let unfinished = session.unfinished_named(&args.resume).await?;
    let mut request = ResumeRequest {
        wait: args.wait,
        pace: pace(args.limit.as_deref())?,
        jobs: args.jobs.map(usize::from),
        retry_for: args.patience.time()?,
        ..ResumeRequest::default()
    };
    if args.seal.wants_password() || unfinished.iter().any(|one| one.password) {
        request.password = Some(args.seal.secret.read(Purpose::Open).await?);
    }
    let (mut code, mut failed, several) = (ExitCode::Ok, None, unfinished.len() > 1);
    for one in &unfinished {
        match session.resume(one.transfer, &request).await {
            Ok(sent) => match end(context, sent) {
                ExitCode::Ok => {}
                other => code = other,
            },
            Err(error) if several => {
                session.tell(Event::Missed(Missed::send(one.transfer, &error)));
                (code, failed) = (ExitCode::Partial, Some(error));
            }
            Err(error) => return Err(error.into()),
        }
    }
    match failed {
        Some(error) if matches!(code, ExitCode::Ok) => Err(error.into()),
        _ if unfinished.is_empty() => Ok(no_unfinished(context, &unfinished)),
        _ => Ok(code),
    }
}

fn no_unfinished(context: &Context, named: &[UnfinishedSend]) -> ExitCode {
    if named.is_empty() {
        context.output.talk("every send is finished");
    }
    ExitCode::Ok
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

impl Patience {
    /// For how long, if that was said.
    pub(super) fn time(&self) -> Result<Option<Duration>, Failure> {
        let time = self.retry_for.as_deref().map(str::parse::<DurationText>);
        Ok(time.transpose()?.map(DurationText::duration))
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
