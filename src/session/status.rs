//! What a home is, has and knows.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rustix::fs::{Access, AtFlags, CWD, accessat};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::{
    ChosenBy, Error, Home, LITTLE, MOVED, Session, UnfinishedSend, all_with_states, care,
    damage::READ_ONLY,
    existing, moved,
    store::{self, blocking},
    store_options,
};
use crate::{
    config::{
        Config, InboxSetting,
        units::{Size, SizeText, count},
    },
    disk::Room,
    id::{ManifestId, PeerId},
    manifest::Timestamp,
    peer::{HistoryEntry, Notice, Reasons, Whereabouts},
    received::Received,
    store::{Holder, LocalStore, ManifestInfo, StoreError, Unnamed, Usage},
    tls::{Endings, Inspected, Lifetime, days_left},
    trust::{Bearer, Role},
    wire::{Arriving, Health, HealthStatus},
};

/// The home of a serving peer was moved.
const HOME_MOVED: &str = "home-moved";

/// How long the serving peer may take to say what is arriving.
const ANSWER: Duration = Duration::from_secs(3);

/// Chunks in a store that no manifest names: of a transfer that is on its way or was given up, or that is over.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PutBy {
    /// What the peer that put them is called here, if it is known.
    pub name: Option<String>,
    /// Who, and how much.
    #[serde(flatten)]
    pub what: Unnamed,
}

/// How to look at a home.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct StatusRequest {
    /// Whether it is something to be done about if nobody serves it.
    pub must_be_served: bool,
}

/// What a home is, has and knows.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Status {
    /// Of this program.
    pub version: String,
    /// The folder.
    pub home: String,
    /// Which rule chose it.
    pub why: ChosenBy,
    /// The peer's name.
    pub name: String,
    /// The peer's id.
    pub peer_id: PeerId,
    /// Whether the circle was made here.
    pub has_circle_key: bool,
    /// From when the peer's certificate counts: later than now where a clock is wrong.
    pub certificate_from: Timestamp,
    /// Until when the peer's certificate counts.
    pub certificate_until: Timestamp,
    /// The same in whole days; negative when it is over.
    pub certificate_days: i64,
    /// Likewise of the certificate of its scripts, if it can be read.
    pub scripts_certificate_days: Option<i64>,
    /// Likewise of the circle's own.
    pub circle_days: Option<i64>,
    /// Days until the revocation list is to be signed again.
    pub revocation_list_days: Option<i64>,
    /// Number of the revocation list; 0 if there is none.
    pub revocations: u64,
    /// What should be known, or done about it.
    pub notices: Vec<Notice>,
    /// Where this machine reaches the peer that serves it, if one does.
    pub serving: Option<String>,
    /// On which address that peer listens, which may be all.
    #[serde(default)]
    pub listens: Option<String>,
    /// Since when.
    pub since: Option<Timestamp>,
    /// By which process, if that is known.
    pub process: Option<u32>,
    /// Where received files appear.
    #[serde(default)]
    pub received: String,
    /// Why nothing can be received there, if so.
    #[serde(default)]
    pub not_received: Option<String>,
    /// What is done with what arrives.
    pub inbox: InboxSetting,
    /// As many peers are known, this one among them if it has served.
    pub peers: usize,
    /// What is in the store, if there is one.
    pub store: Option<Usage>,
    /// Who put the chunks that no manifest names, the largest sum first.
    #[serde(default)]
    pub unnamed: Vec<PutBy>,
    /// Transfers for us that are not opened yet.
    pub waiting: usize,
    /// What others are bringing now, the latest to move first.
    #[serde(default)]
    pub arriving: Vec<Arriving>,
    /// Those of them that a peer of ours could not open, with the reason, which may have foreign text.
    pub not_opened: Vec<(ManifestId, String)>,
    /// Transfers of the last days that were cut or not taken, and have not come since.
    pub missed: Vec<HistoryEntry>,
    /// How many sends were begun and not finished.
    pub unfinished: usize,
    /// They, the latest first.
    #[serde(default)]
    pub sends: Vec<UnfinishedSend>,
    /// Transfers that were opened here and stay sealed for a while, for others to collect or as `keep_opened` says.
    #[serde(default)]
    pub opened: usize,
    /// Bytes of their content.
    #[serde(default)]
    pub opened_bytes: u64,
    /// Sends of which is kept what is needed to check and to grant them.
    #[serde(default)]
    pub kept_sends: usize,
    /// Bytes of that.
    #[serde(default)]
    pub kept_send_bytes: u64,
    /// Bytes that are free on the disk.
    pub free: u64,
    /// The most bytes that may be stored in all, if that is limited.
    pub quota: Option<u64>,
    /// Bytes that may still be stored.
    pub usable: u64,
}

impl Status {
    /// Whether the owner should do something.
    pub fn needs_care(&self) -> bool {
        self.notices.iter().any(|notice| notice.care)
    }
}

impl Session {
    /// Looks at this home, its store and its disk.
    ///
    /// # Errors
    /// Fails if the store or the address book cannot be read.
    pub async fn status(&self, request: StatusRequest) -> Result<Status, Error> {
        let (home, config, now) = (&self.home, &self.config, Timestamp::now());
        let own = Lifetime::of(self.identity().caller());
        let holder = LocalStore::holder(&home.chunks()).filter(|holder| holder.serving.is_some());
        let options = store_options(config);
        let room = LocalStore::room(&existing(&home.chunks()), options)?;
        let (store, reasons) = (self.look_at_store()?, Reasons::new(&home.chunks()));
        let within = self.look_into(store.as_ref()).await?;
        let (arriving, health) = self.ask_who_serves().await;
        let sends = self.unfinished().await?;
        let kept = self.kept_sends().await.unwrap_or_default();
        let (received, endings) = (self.received_now(holder.is_some()), self.endings());
        let why = |id: &ManifestId| Some((*id, reasons.of(*id)?));
        let days = |end: Option<Timestamp>| end.map(|end| days_left(end, now));
        let mut status = Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            home: home.root().to_string_lossy().into_owned(),
            why: home.chosen_by(),
            name: self.identity().name().to_owned(),
            peer_id: self.peer_id(),
            has_circle_key: self.dir.ca_key().exists(),
            certificate_from: own.from,
            certificate_until: own.until,
            certificate_days: days_left(own.until, now),
            scripts_certificate_days: days(endings.scripts_certificate),
            circle_days: days(endings.circle),
            revocation_list_days: days(endings.revocation_list),
            revocations: self.circle().now().crl_number(),
            notices: moved_home(holder.as_ref()).into_iter().collect(),
            serving: holder.as_ref().and_then(|holder| holder.serving.clone()),
            listens: holder.as_ref().and_then(|holder| holder.listens.clone()),
            since: holder.as_ref().and_then(|holder| holder.since),
            process: holder.as_ref().and_then(|holder| holder.process),
            received: received.to_string_lossy().into_owned(),
            not_received: why_not_received(home, &received),
            inbox: inbox_of(health.as_ref(), config),
            peers: self.book.peers()?.len(),
            not_opened: within.waiting.iter().filter_map(why).collect(),
            waiting: within.waiting.len(),
            unnamed: within.unnamed,
            missed: self.missed_in(store, &arriving).await,
            arriving,
            unfinished: sends.len(),
            sends,
            opened: within.opened.0,
            opened_bytes: within.opened.1,
            kept_sends: kept.sends.len(),
            kept_send_bytes: kept.bytes,
            free: room.free,
            quota: config.quota.map(SizeText::bytes),
            usable: options.usable(room, within.usage.map_or(0, |usage| usage.bytes)),
            store: within.usage,
        };
        status.notices.extend(care::of(home, config, &endings));
        status
            .notices
            .extend(stuck(health.as_ref(), &status.notices));
        status.add_notices(room, request);
        Ok(status)
    }

    /// What is arriving, as far as the serving peer says so soon: that it does not answer keeps nothing else from being said.
    pub(crate) async fn arriving_now(&self) -> Vec<Arriving> {
        let asked = timeout(ANSWER, self.arriving()).await;
        asked.ok().and_then(Result::ok).unwrap_or_default()
    }

    /// What is arriving, and how the serving peer is, as far as it says so soon.
    async fn ask_who_serves(&self) -> (Vec<Arriving>, Option<Health>) {
        let health = timeout(ANSWER, self.health_of_who_serves());
        let (arriving, health) = tokio::join!(self.arriving_now(), health);
        (arriving, health.ok().flatten())
    }

    async fn health_of_who_serves(&self) -> Option<Health> {
        let peer = self.serving().ok().flatten()?.with_retries(0);
        peer.health().await.ok()
    }

    /// Where received files appear: as the peer says that serves, which may have been started with a flag; else by the settings.
    fn received_now(&self, is_served: bool) -> PathBuf {
        let noted = Whereabouts::load(&self.dir).filter(|_| is_served);
        let received = noted.and_then(|noted| noted.received);
        received.map_or_else(|| self.home.received(&self.config), PathBuf::from)
    }

    /// What is in the store of this home.
    async fn look_into(&self, store: Option<&Arc<LocalStore>>) -> Result<Within, Error> {
        let Some(store) = store else {
            return Ok(Within::default());
        };
        let (usage, unnamed, opened) = counted(store).await?;
        Ok(Within {
            usage: Some(usage),
            unnamed: unnamed.into_iter().map(|what| self.put_by(what)).collect(),
            opened,
            waiting: self.waiting_in(store).await?,
        })
    }

    /// When what is in `certs/` ends.
    fn endings(&self) -> Endings {
        let script = Inspected::script(&self.dir).ok();
        Endings::of(
            Some(Lifetime::of(self.identity().caller())),
            script.map(|script| Lifetime::of(&script.caller)),
            Some(&self.circle().now()),
        )
    }

    /// The store of this home, if it has one.
    fn look_at_store(&self) -> Result<Option<Arc<LocalStore>>, Error> {
        match store::look(&self.home) {
            Ok(store) => Ok(Some(Arc::new(store))),
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Which transfers wait in `store` for us. What a peer has sent that is blocked by now waits for nobody.
    async fn waiting_in(&self, store: &LocalStore) -> Result<Vec<ManifestId>, Error> {
        let (us, roles) = (self.peer_id(), self.read_roles()?);
        let is_blocked = |peer| roles.of(peer, Bearer::Peer) == Role::None;
        let waits = |info: &ManifestInfo| {
            let is_undecided = info.state.is_some_and(|at| at.state.is_undecided());
            is_undecided && info.sender != us && !is_blocked(info.sender)
        };
        let all = all_with_states(self, store, Some(us)).await?;
        let waiting = all.iter().filter(|info| waits(info));
        Ok(waiting.map(|info| info.id).collect())
    }

    fn put_by(&self, what: Unnamed) -> PutBy {
        let name = what.peer_id.and_then(|peer| self.known_name(peer));
        PutBy { name, what }
    }
}

/// What is in a store.
#[derive(Default)]
struct Within {
    usage: Option<Usage>,
    unnamed: Vec<PutBy>,
    /// How many opened transfers, and the bytes of their content.
    opened: (usize, u64),
    waiting: Vec<ManifestId>,
}

/// That the serving peer stores nothing, unless that was said: one whose disk has failed goes on so until it is restarted.
fn stuck(health: Option<&Health>, said: &[Notice]) -> Option<Notice> {
    const SAID: [&str; 2] = [READ_ONLY, HOME_MOVED];
    let is_said = said.iter().any(|notice| SAID.contains(&&*notice.code));
    let is_stuck = health?.status == HealthStatus::ReadOnly;
    let text = "the peer that serves this home stores nothing, since a write failed or a folder of it was moved: look at its log and \
        that disk (dmesg), then restart it: colis stop, colis serve";
    (is_stuck && !is_said).then(|| Notice::care(READ_ONLY, text))
}

/// What is in `store`, who put what no manifest names, and what of it was opened.
async fn counted(store: &Arc<LocalStore>) -> Result<(Usage, Vec<Unnamed>, (usize, u64)), Error> {
    let store = store.clone();
    blocking(move || Ok((store.usage()?, store.unnamed()?, store.kept_opened()?))).await
}

/// What is done with what arrives: by the peer that serves, which may have been started with a flag; else by the settings.
fn inbox_of(health: Option<&Health>, config: &Config) -> InboxSetting {
    let set = config.inbox.unwrap_or(InboxSetting::Auto);
    let in_force = health.and_then(|health| health.details.as_ref());
    match in_force.and_then(|details| details.condition.inbox_mode.as_deref()) {
        Some("auto") => InboxSetting::Auto,
        Some("ask") => InboxSetting::Ask,
        Some("off") => InboxSetting::Off,
        _ => set,
    }
}

/// Why nothing can be written into the folder `received` of `home`, if so.
fn why_not_received(home: &Home, received: &Path) -> Option<String> {
    if let Err(error) = Received::check_known(received, &home.received_mark()) {
        return Some(error.to_string());
    }
    let written = accessat(CWD, existing(received), Access::WRITE_OK, AtFlags::EACCESS);
    written
        .err()
        .map(|error| format!("{}: {error}", received.display()))
}

fn moved_home(holder: Option<&Holder>) -> Option<Notice> {
    let from = holder?.moved_from.as_deref()?;
    let text = format!("{}: {MOVED}", moved(from));
    Some(Notice::care(HOME_MOVED, text))
}

impl Status {
    /// What the store, the inbox and the disk have to say beside [`care::notices`].
    fn add_notices(&mut self, room: Room, request: StatusRequest) {
        let found = [
            self.about_room(room),
            self.about_received(),
            self.about_not_opened(),
            self.about_waiting(),
            self.about_missed(),
            self.about_inbox(),
            self.about_serving(request),
        ];
        self.notices.extend(found.into_iter().flatten());
    }

    fn about_room(&self, room: Room) -> Option<Notice> {
        match self.usable {
            0 if room.usable() == 0 || room.files == 0 => Some(Notice::care(
                "no-space",
                "the disk has no room: nothing can be stored; free some space, or lower `reserve` in colis.toml",
            )),
            0 => Some(Notice::care(
                "quota-full",
                "the quota is used up: nothing can be stored; raise `quota` in colis.toml, or make room: colis gc, colis list",
            )),
            little if little < LITTLE && room.usable() < LITTLE => {
                let text = format!("the disk has little room: {} can be stored", Size(little));
                Some(Notice::note("little-space", text))
            }
            _ => None,
        }
    }

    fn about_received(&self) -> Option<Notice> {
        let why = self.not_received.as_deref()?;
        let text = format!("nothing can be received: {why}; what to do: colis doctor");
        Some(Notice::care("received", text))
    }

    fn about_not_opened(&self) -> Option<Notice> {
        let what = count(self.not_opened.len(), "transfer", "transfers");
        let text = format!("{what} could not be opened; see why: colis inbox");
        (!self.not_opened.is_empty()).then(|| Notice::care("not-opened", text))
    }

    fn about_missed(&self) -> Option<Notice> {
        let what = count(self.missed.len(), "transfer", "transfers");
        let text =
            format!("{what} of the last 7 days did not come whole, or not at all: colis inbox");
        (!self.missed.is_empty()).then(|| Notice::note("missed", text))
    }

    fn about_waiting(&self) -> Option<Notice> {
        let waits = count(self.waiting, "transfer waits", "transfers wait");
        let text = format!("{waits} to be opened; see them: colis inbox");
        (self.waiting > self.not_opened.len()).then(|| Notice::note("waiting", text))
    }

    fn about_inbox(&self) -> Option<Notice> {
        let text = "the inbox is off: what arrives stays sealed until colis receive";
        (self.inbox == InboxSetting::Off).then(|| Notice::note("inbox-off", text))
    }

    fn about_serving(&self, request: StatusRequest) -> Option<Notice> {
        let text = "this home is not served: others reach nothing here; start it: colis serve";
        self.serving.is_none().then(|| Notice {
            care: request.must_be_served,
            ..Notice::note("not-served", text)
        })
    }
}
