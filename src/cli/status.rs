//! `status`: what this peer is, has and knows.

use std::fs;

use serde::Serialize;

use super::{
    Context, care,
    connect::store_options,
    doctor,
    list::all_manifests,
    output::{Output, count},
    report::{ExitCode, Failure},
    store::{self, blocking},
};
use crate::{
    config::{InboxSetting, units::Size},
    disk::Room,
    id::{ManifestId, PeerId, Short as _},
    manifest::{Signer as _, Timestamp},
    name::{Escaped, PathText},
    peer::Reasons,
    store::{Holder, LocalStore, Store as _, StoreError, TransferState, Usage},
    tls::{CertsDir, Circle, Identity},
    trust::AddressBook,
};

/// All of it, as programs read it.
#[derive(Serialize)]
struct Status<'a> {
    home: PathText<'a>,
    why: &'static str,
    name: String,
    peer_id: PeerId,
    certificate_until: Timestamp,
    certificate_days: u64,
    /// Number of the revocation list; 0 if there is none.
    revocations: u64,
    /// What should be done soon about certificates and revocations.
    notices: Vec<String>,
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
    /// Sends that were begun and not finished.
    unfinished: usize,
    /// Bytes of the disk, and what may be stored of them.
    free: u64,
    usable: u64,
}

pub(super) async fn run(context: &Context) -> Result<ExitCode, Failure> {
    let home = &context.home;
    let dir = CertsDir::new(home.certs());
    let identity = Identity::load(&dir)?;
    let holder = LocalStore::holder(&home.chunks()).filter(|holder| holder.serving.is_some());
    let (store, waiting) = match store::look(context) {
        Ok(store) => look(context.output, store, identity.peer_id()).await?,
        Err(StoreError::NotFound { .. }) => (None, Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let room = LocalStore::room(&doctor::existing(&home.chunks()), store_options(context))?;
    let until = identity.caller().not_after;
    let status = Status {
        home: PathText(home.root()),
        why: home.why,
        name: identity.name().to_owned(),
        peer_id: identity.peer_id(),
        certificate_until: until,
        certificate_days: doctor::days_left(until, Timestamp::now()),
        revocations: Circle::load(&dir)?.crl_number(),
        notices: care::notices(context),
        serving: holder.as_ref().and_then(|holder| holder.serving.clone()),
        since: holder.as_ref().and_then(|holder| holder.since),
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
        unfinished: fs::read_dir(home.journals()).map_or(0, Iterator::count),
        free: room.free,
        usable: room.usable(),
    };
    show(context, &dir, &status, holder.as_ref(), room);
    context.output.object("status", &status);
    Ok(ExitCode::Ok)
}

/// What is in the store, and which transfers wait there for us.
async fn look(
    output: Output,
    store: LocalStore,
    us: PeerId,
) -> Result<(Option<Usage>, Vec<ManifestId>), Failure> {
    let mut waiting = Vec::new();
    for info in all_manifests(output, &store, Some(us)).await? {
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

fn show(context: &Context, dir: &CertsDir, status: &Status, holder: Option<&Holder>, room: Room) {
    let output = context.output;
    output.line(format!(
        "home: {} ({})",
        status.home.0.display(),
        status.why
    ));
    let role = if dir.ca_key().exists() {
        ", holds the circle's key"
    } else {
        ""
    };
    output.line(format!("peer: {}  {}{role}", status.name, status.peer_id));
    let (days, until) = (status.certificate_days, status.certificate_until);
    output.line(format!("certificate: {days} days left, until {until}"));
    for notice in &status.notices {
        output.warn(notice);
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
    output.line(format!("sending: {} unfinished", status.unfinished));
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
    output.line(format!(
        "disk: {} free, {} of it can be stored",
        Size(room.free),
        Size(room.usable())
    ));
}
