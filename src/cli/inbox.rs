//! `inbox`: what waits for a yes, shown before a byte of it is written, and the yes or no.

use std::{ops::ControlFlow, sync::Arc};

use serde::Serialize;

use super::{
    Context,
    args::{Inbox, InboxCommand},
    history, receive,
    report::{ExitCode, Failure},
    show,
    speed::pace,
};
use crate::{
    config::units::Size,
    id::Short as _,
    manifest::{SignedManifest, table::Entry},
    name::Escaped,
    peer::Reasons,
    session::{
        Event, GLANCE, OwnStore, Session, SignedBy, TransferRow, TransferSelector, all_manifests,
        manifest_of, row, state_of, top_names,
    },
    store::{ManifestInfo, Store, TransferState},
    transfer::{self, OpenedTransfer, Seen, TransferError},
};

/// Entries that are shown of a transfer that was not named.
const FEW: usize = 20;

#[derive(Serialize)]
struct WaitingObject<'a> {
    #[serde(flatten)]
    info: &'a ManifestInfo,
    #[serde(flatten)]
    from: &'a SignedBy,
    locked: bool,
    /// Why it cannot be listed, if so.
    reason: Option<String>,
    /// Why it was not opened when a peer of ours tried, if so.
    not_opened: Option<String>,
    entries: &'a [Entry],
    /// Whether it has others.
    more_entries: bool,
}

/// A transfer that waits, as far as it can be opened.
struct Waiting {
    info: ManifestInfo,
    from: SignedBy,
    entries: Vec<Entry>,
    seen: Result<Seen, TransferError>,
}

/// How much of a transfer is shown.
#[derive(Debug, Clone, Copy)]
enum Extent {
    /// A few entries: its sender chooses how long the table is.
    Few,
    /// Every entry.
    Every,
}

pub(super) async fn run(context: &Context, args: Inbox) -> Result<ExitCode, Failure> {
    let us = context.session()?;
    let own = us.own_store()?;
    let store = own.as_store();
    let list = InboxCommand::List { ids: Vec::new() };
    match args.command.unwrap_or(list) {
        InboxCommand::List { ids } => list_waiting(context, &us, &store, &ids).await,
        InboxCommand::Accept {
            ids,
            all,
            out,
            secret,
        } => {
            let mut which = Vec::new();
            for info in chosen(&us, &*store, &ids, all).await? {
                if !all || info.recipients.contains(&us.reader().me) {
                    which.push(info.id.to_string());
                }
            }
            let mut request = receive::request(which, out, secret).await?;
            if request.which.is_empty() {
                context.output.talk("nothing waits");
                return Ok(ExitCode::Ok);
            }
            request.pace = pace(context, None)?;
            let received = us.receive_from(store, Some(&own), request).await;
            receive::end(context, received, "nothing there that we can open")
        }
        InboxCommand::Refuse { ids } => refuse(context, &us, &own, &ids).await,
    }
}

/// What waits, to choose from.
pub(super) async fn waiting(context: &Context) -> Result<Vec<TransferRow>, Failure> {
    let us = context.session()?;
    let store = us.own_store()?.as_store();
    let mut rows = Vec::new();
    for info in chosen(&us, &*store, &[], true).await? {
        rows.extend(row(&us, &*store, info).await?);
    }
    Ok(rows)
}

async fn list_waiting(
    context: &Context,
    us: &Session,
    store: &Arc<dyn Store>,
    ids: &[String],
) -> Result<ExitCode, Failure> {
    let infos = chosen(us, &**store, ids, ids.is_empty()).await?;
    if infos.is_empty() {
        context.output.talk("nothing waits");
    }
    for info in infos {
        let extent = if ids.is_empty() {
            Extent::Few
        } else {
            Extent::Every
        };
        let waiting = Waiting::look(us, &**store, info, extent).await?;
        waiting.show(context);
    }
    if ids.is_empty() {
        us.missed()?
            .into_iter()
            .for_each(|entry| us.tell(Event::NotCome(Box::new(entry))));
    }
    Ok(ExitCode::Ok)
}

/// Remembers the no; whoever waits for the transfer's state is told.
async fn refuse(
    context: &Context,
    us: &Session,
    own: &OwnStore,
    ids: &[String],
) -> Result<ExitCode, Failure> {
    for info in chosen(us, &*own.as_store(), ids, false).await? {
        us.record(own, info.id, TransferState::Refused).await?;
        let store = own.as_store();
        let (from, names) = match manifest_of(&*store, info.id).await {
            Some(manifest) => {
                let names = top_names(&*store, &us.reader(), &manifest).await;
                (SignedBy::of(us, &manifest), names)
            }
            None => (SignedBy::unknown(info.sender), None),
        };
        let names = names.map_or_else(Vec::new, |top| top.names);
        context.output.object("refused", &info);
        context
            .output
            .line(format!("{}  refused, from {from}", info.id));
        history::note_refused(context, &info, from, names);
    }
    context.output.talk(
        "the sealed bytes stay for the time of keep_opened; until then it can still be accepted",
    );
    Ok(ExitCode::Ok)
}

/// What waits: all of it, or what was named. What was refused can be named too.
async fn chosen(
    us: &Session,
    store: &dyn Store,
    ids: &[String],
    all: bool,
) -> Result<Vec<ManifestInfo>, Failure> {
    let me = us.reader().me;
    let mut waiting = Vec::new();
    for info in all_manifests(us, store, Some(me)).await? {
        let Some(state) = state_of(store, info.id).await? else {
            continue;
        };
        let undecided = matches!(state, TransferState::Stored | TransferState::Waiting);
        if info.sender != me && (undecided || (!all && state == TransferState::Refused)) {
            waiting.push(info);
        }
    }
    if all {
        return Ok(waiting);
    }
    let mut chosen = Vec::new();
    for text in ids {
        let info = TransferSelector::new(text)
            .one_of(&waiting)?
            .ok_or_else(|| {
                let what = format!("nothing that waits has an id that begins with {text}");
                let failure = Failure::new(ExitCode::NotFound, what);
                failure.hint("see what waits, give 4 digits or more: colis inbox")
            })?;
        chosen.push(info.clone());
    }
    Ok(chosen)
}

impl Waiting {
    async fn look(
        us: &Session,
        store: &dyn Store,
        info: ManifestInfo,
        extent: Extent,
    ) -> Result<Self, Failure> {
        let manifest = SignedManifest::parse(store.get_manifest(info.id).await?)?;
        let from = SignedBy::of(us, &manifest);
        let (entries, seen) = match extent {
            Extent::Few => few_entries(us, store, &manifest).await,
            Extent::Every => match OpenedTransfer::open(store, manifest, &us.reader()).await {
                Ok(opened) => (opened.listing.entries, Ok(Seen::All)),
                Err(error) => (Vec::new(), Err(error)),
            },
        };
        Ok(Self {
            info,
            from,
            entries,
            seen,
        })
    }

    fn show(&self, context: &Context) {
        let (output, info) = (context.output, &self.info);
        let locked = matches!(self.seen, Err(TransferError::PasswordNeeded));
        let failed = self.seen.as_ref().err().filter(|_| !locked);
        let reason = failed.map(ToString::to_string);
        let more_entries = matches!(self.seen, Ok(Seen::Part));
        let not_opened = Reasons::new(&context.home.chunks()).of(info.id);
        let object = WaitingObject {
            info,
            from: &self.from,
            locked,
            reason: reason.clone(),
            not_opened: not_opened.clone(),
            entries: &self.entries,
            more_entries,
        };
        output.object("waiting", &object);
        let from = Escaped::new(&self.from.name);
        let standing = self.from.standing();
        let size = Size(info.size).to_string();
        let created = info.created;
        let note = match &reason {
            Some(reason) => format!("  cannot be opened: {}", Escaped::new(reason)),
            None if locked => "  locked by a password".to_owned(),
            None => not_opened.map_or_else(String::new, |why| {
                format!("  could not be opened: {}", Escaped::new(&why))
            }),
        };
        output.line(format!(
            "{}  {created}  {size:>10}  from {from} ({standing}){note}",
            info.id
        ));
        if !output.json {
            self.entries
                .iter()
                .for_each(|entry| output.line(show::send::listed(entry)));
        }
        let id = info.id.short();
        if more_entries {
            output.line(format!("  … and more: colis inbox list {id}"));
        }
        output.talk(match self.from.blocked {
            true => format!(
                "  colis peers role {} member  |  colis inbox refuse {id}",
                info.sender
            ),
            false => format!("  colis inbox accept {id}  |  colis inbox refuse {id}"),
        });
    }
}

/// The first entries of a transfer.
async fn few_entries(
    us: &Session,
    store: &dyn Store,
    manifest: &SignedManifest,
) -> (Vec<Entry>, Result<Seen, TransferError>) {
    let mut few = Vec::new();
    let keep = |entry| {
        if few.len() == FEW {
            return ControlFlow::Break(());
        }
        few.push(entry);
        ControlFlow::Continue(())
    };
    let seen = transfer::browse(store, manifest, &us.reader(), GLANCE, keep).await;
    match seen {
        Ok(seen) => (few, Ok(seen)),
        Err(error) => (Vec::new(), Err(error)),
    }
}
