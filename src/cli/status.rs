//! `status`: what this peer is, has and knows.

use std::fs;

use serde::Serialize;

use super::{
    Context,
    args::Status as Args,
    history,
    output::count,
    report::{ExitCode, Failure},
};
use crate::{
    config::{
        InboxSetting,
        units::{Size, SizeText},
    },
    disk::Room,
    id::{ManifestId, PeerId, Short as _},
    manifest::{Signer as _, Timestamp},
    name::{Escaped, PathText},
    peer::{HistoryEntry, Notice, Reasons},
    session::{
        ChosenBy, LITTLE, MOVED, Session, all_manifests, care, existing, moved,
        store::{self, blocking},
        store_options,
    },
    store::{Holder, LocalStore, Store as _, StoreError, TransferState, Usage},
    tls::{CertsDir, Circle, Endings, Identity, days_left},
    trust::AddressBook,
};

/// All of it, as programs read it.
#[derive(Serialize)]
struct Status<'a> {
    version: &'static str,
    home: PathText<'a>,
    why: ChosenBy,
    name: String,
    peer_id: PeerId,
    certificate_until: Timestamp,
    certificate_days: i64,
    /// Until when the certificate of its scripts counts, and the circle's own; when the revocation list is to be signed again.
    scripts_certificate_days: Option<i64>,
    circle_days: Option<i64>,
    revocation_list_days: Option<i64>,
    /// Number of the revocation list; 0 if there is none.
    revocations: u64,
    /// What should be known, or done about it.
    notices: Vec<Notice>,
    serving: Option<String>,
    /// Since when it serves.
    since: Option<Timestamp>,
    inbox: &'static str,
    peers: usize,
    store: Option<Usage>,
    /// Transfers for us that are not opened yet.
    waiting: usize,
    /// Those of them that a peer of ours could not open, with the reason.
    not_opened: Vec<(ManifestId, String)>,
    /// Transfers of the last days that were cut or not taken, and have not come since.
    missed: Vec<HistoryEntry>,
    /// Sends that were begun and not finished.
    unfinished: usize,
    /// Bytes that are free on the disk, the most that may be stored in all, and what may still be stored.
    free: u64,
    quota: Option<u64>,
    usable: u64,
}

impl Status<'_> {
    fn needs_care(&self) -> bool {
        self.notices.iter().any(|notice| notice.care)
    }
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<ExitCode, Failure> {
    let home = &context.home;
    let dir = CertsDir::new(home.certs());
    let holder = LocalStore::holder(&home.chunks()).filter(|holder| holder.serving.is_some());
    let options = store_options(&context.config);
    let room = LocalStore::room(&existing(&home.chunks()), options)?;
    let mut status = gather(context, &dir, holder.as_ref()).await?;
    status.free = room.free;
    let used = status.store.as_ref().map_or(0, |usage| usage.bytes);
    status.usable = options.usable(room, used);
    status.notices = moved_home(holder.as_ref()).collect();
    status
        .notices
        .extend(care::notices(&context.home, &context.config));
    let found = noticed(&status, room, args);
    status.notices.extend(found);
    show(context, &dir, &status, holder.as_ref(), room);
    context.output.object("status", &status);
    Ok(match status.needs_care() {
        true => ExitCode::Care,
        false => ExitCode::Ok,
    })
}

/// What is there, without what the disk has and what follows from it.
async fn gather<'a>(
    context: &'a Context,
    dir: &CertsDir,
    holder: Option<&Holder>,
) -> Result<Status<'a>, Failure> {
    let (home, now) = (&context.home, Timestamp::now());
    let identity = Identity::load(dir)?;
    let (store, waiting) = match store::look(&context.home) {
        Ok(store) => look(&context.session()?, store, identity.peer_id()).await?,
        Err(StoreError::NotFound { .. }) => (None, Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let (endings, until) = (Endings::read(dir), identity.caller().not_after);
    let days = |end: Option<Timestamp>| end.map(|end| days_left(end, now));
    Ok(Status {
        version: env!("CARGO_PKG_VERSION"),
        home: PathText(home.root()),
        why: home.chosen_by(),
        name: identity.name().to_owned(),
        peer_id: identity.peer_id(),
        certificate_until: until,
        certificate_days: days_left(until, now),
        scripts_certificate_days: days(endings.scripts_certificate),
        circle_days: days(endings.circle),
        revocation_list_days: days(endings.revocation_list),
        revocations: Circle::load(dir)?.crl_number(),
        notices: Vec::new(),
        serving: holder.and_then(|holder| holder.serving.clone()),
        since: holder.and_then(|holder| holder.since),
        inbox: match context.config.inbox {
            Some(InboxSetting::Off) => "off",
            Some(InboxSetting::Ask) => "ask",
            Some(InboxSetting::Auto) | None => "auto",
        },
        peers: AddressBook::new(dir.peers()).peers()?.len(),
        store,
        not_opened: {
            let reasons = Reasons::new(&home.chunks());
            let why = |id: &ManifestId| Some((*id, reasons.of(*id)?));
            waiting.iter().filter_map(why).collect()
        },
        waiting: waiting.len(),
        missed: history::missed(context),
        unfinished: fs::read_dir(home.journals()).map_or(0, Iterator::count),
        free: 0,
        quota: context.config.quota.map(SizeText::bytes),
        usable: 0,
    })
}

fn moved_home(holder: Option<&Holder>) -> impl Iterator<Item = Notice> {
    let from = holder.and_then(|holder| holder.moved_from.as_deref());
    let text = from.map(|from| format!("{}: {}", moved(from), MOVED));
    text.into_iter()
        .map(|text| Notice::care("home-moved", text))
}

/// What the store, the inbox and the disk have to say beside `care::notices`.
fn noticed(status: &Status, room: Room, args: &Args) -> Vec<Notice> {
    let mut found = Vec::new();
    match status.usable {
        0 if room.usable() == 0 || room.files == 0 => found.push(Notice::care(
            "no-space",
            "the disk has no room: nothing can be stored; free some space, or lower `reserve` in colis.toml",
        )),
        0 => found.push(Notice::care(
            "quota-full",
            "the quota is used up: nothing can be stored; raise `quota` in colis.toml, or make room: colis gc, colis list",
        )),
        little if little < LITTLE && room.usable() < LITTLE => {
            let text = format!("the disk has little room: {} can be stored", Size(little));
            found.push(Notice::note("little-space", text));
        }
        _ => {}
    }
    if !status.not_opened.is_empty() {
        let what = count(status.not_opened.len() as u64, "transfer", "transfers");
        let text = format!("{what} could not be opened; see why: colis inbox");
        found.push(Notice::care("not-opened", text));
    }
    if status.waiting > status.not_opened.len() {
        let waits = count(status.waiting as u64, "transfer waits", "transfers wait");
        let text = format!("{waits} to be opened; see them: colis inbox");
        found.push(Notice::note("waiting", text));
    }
    if !status.missed.is_empty() {
        let what = count(status.missed.len() as u64, "transfer", "transfers");
        let text =
            format!("{what} of the last 7 days did not come whole, or not at all: colis inbox");
        found.push(Notice::note("missed", text));
    }
    if status.inbox == "off" {
        let text = "the inbox is off: what arrives stays sealed until colis receive";
        found.push(Notice::note("inbox-off", text));
    }
    if status.serving.is_none() {
        let text = "this home is not served: others reach nothing here; start it: colis serve";
        found.push(Notice {
            care: args.serving,
            ..Notice::note("not-served", text)
        });
    }
    found
}

/// What is in the store, and which transfers wait there for us.
async fn look(
    session: &Session,
    store: LocalStore,
    us: PeerId,
) -> Result<(Option<Usage>, Vec<ManifestId>), Failure> {
    let mut waiting = Vec::new();
    for info in all_manifests(session, &store, Some(us)).await? {
        let state = store.manifest_state(info.id).await;
        let waits = matches!(
            &state,
            Ok(at) if matches!(at.state, TransferState::Stored | TransferState::Waiting)
        );
        if waits && info.sender != us {
            waiting.push(info.id);
        }
    }
    let usage = blocking(move || store.usage()).await?;
    Ok((Some(usage), waiting))
}

/// What is left of sends that did not end, and how it goes.
fn sending(unfinished: usize) -> String {
    let goes = match unfinished {
        0 => "",
        _ => ", by interrupted sends: the same command continues one, after a week it is forgotten",
    };
    format!("sending: {unfinished} unfinished{goes}")
}

fn show(context: &Context, dir: &CertsDir, status: &Status, holder: Option<&Holder>, room: Room) {
    let output = context.output;
    output.line(format!(
        "home: {} ({})",
        status.home.0.display(),
        status.why.describe()
    ));
    let role = if dir.ca_key().exists() {
        ", holds the circle's key"
    } else {
        ""
    };
    output.line(format!("peer: {}  {}{role}", status.name, status.peer_id));
    let (days, until) = (status.certificate_days, status.certificate_until);
    output.line(match days {
        0.. => format!("certificate: {days} days left, until {until}"),
        _ => format!("certificate: expired on {until}"),
    });
    for notice in &status.notices {
        match notice.care {
            true => output.warn(notice),
            false => output.talk(format!("note: {notice}")),
        }
    }
    output.line(match (&status.serving, status.since) {
        (Some(address), Some(since)) => {
            let process = holder.and_then(|holder| holder.process);
            let process = process.map_or(String::new(), |id| format!(", process {id}"));
            format!("serving: {address} since {since}{process}")
        }
        (Some(address), None) => format!("serving: {address}"),
        (None, _) => "serving: no".to_owned(),
    });
    let waiting = count(status.waiting as u64, "transfer waits", "transfers wait");
    output.line(format!("inbox: {}, {waiting} to be opened", status.inbox));
    for (id, why) in &status.not_opened {
        let (id, why) = (id.short(), Escaped::new(why));
        output.warn(format!("{id} could not be opened: {why}"));
    }
    for entry in &status.missed {
        output.line(format!("did not come: {}", history::line(entry)));
    }
    output.line(sending(status.unfinished));
    output.line(format!("peers known: {}", status.peers));
    output.line(match &status.store {
        Some(usage) => format!(
            "store: {} transfers, {} chunks, {}",
            usage.manifests,
            usage.chunks,
            Size(usage.bytes)
        ),
        None => "store: none yet".to_owned(),
    });
    let quota = status.quota.map(|quota| format!(", quota {}", Size(quota)));
    output.line(format!(
        "disk: {} free{}, {} can be stored",
        Size(room.free),
        quota.unwrap_or_default(),
        Size(status.usable)
    ));
}
