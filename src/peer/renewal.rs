//! Certificates that end: a serving peer looks at its own every minute, has them renewed in time by the circle's machine, and
//! tells once a day what needs its owner.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::broadcast::{self, Receiver, Sender},
    time::{sleep, timeout},
};

use super::{
    door::Door,
    known::Known,
    notices::{Notice, notices},
};
use crate::{
    client::PeerClient,
    manifest::Timestamp,
    name::Escaped,
    server::CircleDesk as _,
    tls::{self, Caller, CertsDir, Inspected, Renewed, TlsError, ca},
    trust::KnownPeer,
    wire::ServerEvent,
};

/// How often the clock is looked at. The sleep of a machine that was suspended goes on where it was; its clock does not.
const LOOK: Duration = Duration::from_secs(60);
/// Seconds until a renewal that failed is tried again: at first, and at most.
const PAUSE: u64 = 5;
const LONGEST_PAUSE: u64 = 6 * 3600;
/// Notices that may wait for a listener.
const WAITING: usize = 64;
/// How often a notice is repeated.
const DAY: u64 = 24 * 3600;
/// How long one peer may take to renew.
const PATIENCE: Duration = Duration::from_secs(10);

/// Renews the certificates of a running peer, and tells what it cannot mend.
pub(super) struct Renewal {
    known: Known,
    events: Sender<ServerEvent>,
    notices: Sender<Notice>,
}

impl Renewal {
    /// For the peer behind `door`, whose listeners hear `events`.
    pub(super) fn new(door: &Arc<Door>, events: &Sender<ServerEvent>) -> Self {
        Self {
            known: Known::new(door, 0),
            events: events.clone(),
            notices: broadcast::channel(WAITING).0,
        }
    }

    /// Tells each notice from now on.
    pub(super) fn notices(&self) -> Receiver<Notice> {
        self.notices.subscribe()
    }

    pub(super) async fn run(self) {
        let (mut tries, mut said) = (Tries::default(), Said::default());
        loop {
            let now = Timestamp::now();
            let due = self.due(now);
            let circle = self.known.door.circle().now().not_after();
            if due.is_empty() || tries.circle != Some(circle) {
                tries = Tries::under(circle);
            }
            if !due.is_empty() && tries.is_time(now) {
                let failed = self.renew(&due).await;
                tries.tried(Timestamp::now(), failed);
            }
            self.tell(&mut said, tries.failed.as_deref());
            sleep(self.pause(&tries)).await;
        }
    }

    fn dir(&self) -> &CertsDir {
        self.known.door.dir()
    }

    /// The certificates that are to be renewed now. What an outside authority has signed its owner renews there.
    fn due(&self, now: Timestamp) -> Vec<Renewed> {
        if self.dir().outside().is_some() {
            return Vec::new();
        }
        let both = [Renewed::Peer, Renewed::Script];
        let is_due = |which: &Renewed| {
            inspected(self.dir(), *which).is_some_and(|caller| ca::due_from(&caller) <= now)
        };
        both.into_iter().filter(is_due).collect()
    }

    /// Renews them; this peer's own first, for it asks for that of its scripts. Returns why not, if so.
    async fn renew(&self, due: &[Renewed]) -> Option<String> {
        let mut failed = None;
        for which in due {
            let began = Instant::now();
            match self.renew_one(*which).await {
                Ok(Some(caller)) => {
                    let (until, elapsed) = (caller.not_after, began.elapsed());
                    tracing::info!(?which, %until, ?elapsed, "certificate renewed");
                    if let Err(error) = self.known.door.reload() {
                        tracing::error!(%error, "the renewed certificate cannot be used");
                    }
                }
                Ok(None) => failed = failed.or(Some(self.gave_the_same(*which).into())),
                Err(error) => failed = Some(error),
            }
        }
        failed
    }

    /// Why the circle's machine gave no certificate that counts longer.
    fn gave_the_same(&self, which: Renewed) -> &'static str {
        let (circle, now) = (self.known.door.circle().now().not_after(), Timestamp::now());
        let caller = inspected(self.dir(), which);
        match caller.is_some_and(|caller| ca::clocks_differ(&caller, circle, now)) {
            true => {
                "the circle's machine gave the same: its clock is behind, or the one here is ahead"
            }
            false => "the circle's machine gave the same",
        }
    }

    /// The new certificate; `None` if the circle's machine gives none that counts longer.
    async fn renew_one(&self, which: Renewed) -> Result<Option<Caller>, String> {
        let dir = self.dir().clone();
        let before = inspected(&dir, which).map(|caller| caller.serial);
        let after = if dir.ca_key().exists() {
            let renewed = move || ca::renew_own_if_due(&dir, which);
            let renewed = tokio::task::spawn_blocking(renewed).await;
            renewed
                .map_err(|e| e.to_string())?
                .map_err(|e| e.to_string())?
        } else {
            self.ask(which).await?
        };
        Ok((before.as_ref() != Some(&after.serial)).then_some(after))
    }

    /// Asks the peers that are known, the one first that is called as the maker of the circle was.
    async fn ask(&self, which: Renewed) -> Result<Caller, String> {
        let request = tls::renewal_request(self.dir(), which).map_err(|e| e.to_string())?;
        let circle = self.known.door.circle().now();
        let mut peers = self.known.others().map_err(|e| e.to_string())?;
        peers.sort_by_key(|peer| circle.maker() != Some(peer.name.as_str()));
        let mut last = "no peer with an address is known".to_owned();
        for (place, peer) in peers.iter().enumerate() {
            match self.ask_one(peer, &request, which).await {
                Ok(caller) => return Ok(caller),
                // The first is the likeliest to have the circle's key: its answer says most.
                Err(error) if place == 0 => last = error,
                Err(_) => {}
            }
        }
        Err(last)
    }

    async fn ask_one(
        &self,
        peer: &KnownPeer,
        request: &str,
        which: Renewed,
    ) -> Result<Caller, String> {
        let mut last = format!("no address of {} can be tried", peer.name);
        for client in self.known.clients(peer) {
            match timeout(PATIENCE, self.ask_at(&client, request, which)).await {
                Ok(Ok(caller)) => return Ok(caller),
                Ok(Err(error)) => last = format!("{}: {error}", peer.name),
                Err(_) => last = format!("{}: no answer in time", peer.name),
            }
        }
        Err(last)
    }

    async fn ask_at(
        &self,
        client: &PeerClient,
        request: &str,
        which: Renewed,
    ) -> Result<Caller, String> {
        let pem = client.renew(request).await.map_err(|e| e.to_string())?;
        tls::install_renewed(self.dir(), which, &pem).map_err(|e: TlsError| e.to_string())
    }

    /// Tells what needs the owner: to the log, to the listeners, and to those of this process; each once a day.
    fn tell(&self, said: &mut Said, failed: Option<&str>) {
        let now = Timestamp::now();
        let endings = self.known.door.endings();
        for notice in notices(self.dir(), &endings, now) {
            if !said.is_time(notice.code.clone(), now) {
                continue;
            }
            let (code, text) = (&*notice.code, Escaped::new(&notice.text));
            match failed.filter(|_| notice.is_of_own_certificate()) {
                Some(cause) => tracing::warn!(code, cause = %Escaped::new(cause), "{text}"),
                None => tracing::warn!(code, "{text}"),
            }
            let event = ServerEvent::Notice {
                code: code.to_owned(),
                text: notice.text.clone(),
            };
            // Nobody may be listening.
            let _ = self.events.send(event);
            let _ = self.notices.send(notice);
        }
    }

    /// Until the next look: sooner than usual where something comes before.
    fn pause(&self, tries: &Tries) -> Duration {
        let now = Timestamp::now().unix_seconds();
        let own = [Renewed::Peer, Renewed::Script]
            .into_iter()
            .filter_map(|which| inspected(self.dir(), which));
        let moments =
            own.flat_map(|caller| [ca::due_from(&caller), caller.not_after.plus_seconds(1)]);
        let next = moments.chain([tries.next]);
        let next = next.map(Timestamp::unix_seconds).filter(|next| *next > now);
        let next = next
            .min()
            .map_or(LOOK, |next| Duration::from_secs(next - now));
        next.min(LOOK)
    }
}

/// On the circle's machine: renews its own certificates before it listens, so that it never shows one that has ended.
pub(super) fn renew_here(dir: &CertsDir) {
    let now = Timestamp::now();
    for which in [Renewed::Peer, Renewed::Script] {
        let is_due = inspected(dir, which).is_some_and(|caller| ca::due_from(&caller) <= now);
        if !is_due || !dir.ca_key().exists() {
            continue;
        }
        if let Err(error) = ca::renew_own_if_due(dir, which) {
            tracing::error!(?which, %error, "our own certificate cannot be renewed");
        }
    }
}

fn inspected(dir: &CertsDir, which: Renewed) -> Option<Caller> {
    Some(Inspected::of(dir, which).ok()?.caller)
}

/// When a renewal was tried and is tried again, by the clock of the wall.
struct Tries {
    last: Timestamp,
    next: Timestamp,
    pause: u64,
    failed: Option<String>,
    /// The end of the circle's certificate under which it was tried: after a later one nothing is waited for.
    circle: Option<Timestamp>,
}

impl Default for Tries {
    fn default() -> Self {
        let never = Timestamp::from_unix_seconds(0);
        Self {
            last: never,
            next: never,
            pause: PAUSE,
            failed: None,
            circle: None,
        }
    }
}

impl Tries {
    /// None yet, under a circle that ends then.
    fn under(circle: Timestamp) -> Self {
        Self {
            circle: Some(circle),
            ..Self::default()
        }
    }

    /// Also if the clock was set back.
    fn is_time(&self, now: Timestamp) -> bool {
        now >= self.next || now < self.last
    }

    fn tried(&mut self, now: Timestamp, failed: Option<String>) {
        self.last = now;
        self.next = now.plus_seconds(self.pause);
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        self.failed = failed;
    }
}

/// When each notice was told last.
#[derive(Default)]
struct Said(BTreeMap<Cow<'static, str>, Timestamp>);

impl Said {
    /// Whether the notice is to be told now; then it is.
    fn is_time(&mut self, code: Cow<'static, str>, now: Timestamp) -> bool {
        let last = self.0.get(&code);
        let is_time = last.is_none_or(|last| now < *last || now >= last.plus_seconds(DAY));
        if is_time {
            self.0.insert(code, now);
        }
        is_time
    }
}
