//! `inbox`: what waits for a yes, and the yes or no.

use super::{
    Context,
    args::{Inbox, InboxCommand},
    receive,
    report::{ExitCode, Failure},
    show::{brief, table::Listing},
};
use crate::session::{Event, Extent, Session};

pub(super) async fn run(context: &Context, args: Inbox) -> Result<ExitCode, Failure> {
    let session = context.session()?;
    let list = InboxCommand::List { ids: Vec::new() };
    match args.command.unwrap_or(list) {
        InboxCommand::List { ids } => list_waiting(context, &session, &ids).await,
        InboxCommand::Accept {
            ids,
            all,
            out,
            secret,
        } => {
            let mut request = receive::request(ids, out, secret).await?;
            request.all = all;
            let received = session.inbox()?.accept(request).await;
            if received
                .as_ref()
                .is_ok_and(|outcome| outcome.received.is_empty())
            {
                context.output.talk("nothing waits");
            }
            receive::end(received)
        }
        InboxCommand::Refuse { ids, all, from } => {
            let inbox = session.inbox()?;
            let refused = match all || from.is_some() {
                true => inbox.refuse_all(from.as_deref()).await?,
                false => inbox.refuse(&ids).await?,
            };
            context.output.talk(match refused.is_empty() {
                true => "nothing waits",
                false => "the sealed bytes stay for the time of keep_refused: until then it can be had after all, colis inbox accept ID",
            });
            Ok(ExitCode::Ok)
        }
        InboxCommand::Stop { ids, from } => {
            session.cancel_arriving(&ids, from.as_deref()).await?;
            Ok(ExitCode::Ok)
        }
    }
}

async fn list_waiting(
    context: &Context,
    session: &Session,
    ids: &[String],
) -> Result<ExitCode, Failure> {
    let listing = Listing::open(context.output);
    let arriving = match ids.is_empty() {
        true => session.arriving().await?,
        false => Vec::new(),
    };
    let shown = arriving.iter().cloned();
    shown.for_each(|one| context.tell(&Event::Arriving(one)));
    let inbox = session.inbox()?;
    let (infos, extent) = match ids.is_empty() {
        true => (inbox.waiting().await?, Extent::Few),
        false => (inbox.named(ids).await?, Extent::Every),
    };
    if infos.is_empty() {
        context.output.talk("nothing waits");
    }
    brief::note(infos.iter().map(|info| info.id));
    for info in infos {
        let waiting = inbox.look(info, extent).await?;
        context.tell(&Event::Waiting(Box::new(waiting)));
    }
    if ids.is_empty() {
        let missed = session.missed(&arriving).await.into_iter();
        missed
            .map(Box::new)
            .for_each(|entry| context.tell(&Event::NotCome(entry)));
    }
    listing.close();
    Ok(ExitCode::Ok)
}
