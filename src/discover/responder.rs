//! Tells the network about one instance of a service: at the start, when asked, and when it ends (RFC 6762).
//!
//! Its names are made of the peer's id, so that no other machine has them: they are not probed for (section 8.1), and who
//! says otherwise is not believed. On a link it speaks once a second at most, whoever asks how often.

use std::net::{IpAddr, SocketAddr};

use tokio::time::{Duration, Instant, interval, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{
    link::{Links, Message, PORT, buffer},
    message::{Instance, Kind, Query, Told, announcement, goodbye, legacy_answer},
};
use crate::address::is_link_local;

/// How often it is looked whether links have come, gone or changed.
const REFRESH: Duration = Duration::from_secs(5);
/// Between two messages on a link (section 6).
const PAUSE: Duration = Duration::from_secs(1);
/// What is told without a question is told so often (section 8.3).
const ANNOUNCED: u8 = 2;
/// Between a question and its answer at least, and so much more at most: several machines answer it (section 6).
const DELAY: Duration = Duration::from_millis(20);
const DELAY_MORE: Duration = Duration::from_millis(100);

/// When it speaks on a link.
struct Turn {
    link: u32,
    last: Option<Instant>,
    next: Option<Instant>,
    /// How often it speaks unasked.
    unasked: u8,
}

pub(super) struct Responder {
    links: Links,
    instance: Instance,
    /// Where it listens.
    listen: SocketAddr,
    turns: Vec<Turn>,
}

impl Responder {
    pub(super) fn new(links: Links, instance: Instance, listen: SocketAddr) -> Self {
        let mut responder = Self {
            links,
            instance,
            listen,
            turns: Vec::new(),
        };
        let all: Vec<_> = responder.links.all().collect();
        responder.announce_on(&all);
        responder
    }

    /// Runs until `ended`, then says goodbye.
    pub(super) async fn run(mut self, ended: CancellationToken) {
        let (mut buffer, mut refresh) = (buffer(), interval(REFRESH));
        let mut is_mute = false;
        loop {
            let next = self.turns.iter().filter_map(|turn| turn.next).min();
            let next = next.unwrap_or_else(|| Instant::now() + REFRESH);
            tokio::select! {
                biased;
                () = ended.cancelled() => break,
                _ = refresh.tick() => {
                    self.refresh();
                    if !self.links.can_speak() && !std::mem::replace(&mut is_mute, true) {
                        tracing::warn!("no link for multicast DNS: others may not find this peer by themselves");
                    }
                }
                () = sleep_until(next) => self.speak(Instant::now()),
                heard = self.links.hear(Kind::Query, &mut buffer) => {
                    let bytes = buffer.get(..heard.length).unwrap_or_default();
                    self.answer(&heard, bytes);
                }
            }
        }
        for turn in self.turns.iter().filter(|turn| turn.last.is_some()) {
            if let Ok(message) = goodbye(&self.records(turn.link)) {
                self.links.say(turn.link, &message);
            }
        }
    }

    fn refresh(&mut self) {
        match self.links.refresh() {
            Ok(new) => self.announce_on(&new),
            Err(error) => tracing::debug!(%error, "the links are not known"),
        }
    }

    /// Speaks soon on these links, and no more on those that are gone.
    fn announce_on(&mut self, new: &[u32]) {
        let there: Vec<_> = self.links.all().collect();
        self.turns
            .retain(|turn| there.contains(&turn.link) && !new.contains(&turn.link));
        self.turns.extend(new.iter().map(|link| Turn {
            link: *link,
            last: None,
            next: Some(Instant::now()),
            unasked: ANNOUNCED,
        }));
    }

    /// What is told on a link: none where nobody could come.
    fn records(&self, link: u32) -> Vec<Told> {
        let mut ips = self.links.addresses(link);
        ips.retain(|ip| is_served(self.listen, link, *ip));
        if ips.is_empty() {
            return Vec::new();
        }
        self.instance.records(&ips)
    }

    fn speak(&mut self, now: Instant) {
        for at in 0..self.turns.len() {
            let is_due = |turn: &&Turn| turn.next.is_some_and(|next| next <= now);
            let Some(link) = self.turns.get(at).filter(is_due).map(|turn| turn.link) else {
                continue;
            };
            let records = self.records(link);
            if let (false, Ok(message)) = (records.is_empty(), announcement(&records)) {
                self.links.say(link, &message);
            }
            if let Some(turn) = self.turns.get_mut(at) {
                turn.unasked = turn.unasked.saturating_sub(1);
                turn.last = Some(now);
                turn.next = (turn.unasked > 0).then_some(now + PAUSE);
            }
        }
    }

    /// A machine that speaks multicast DNS hears the answer with all others; any other one is answered at once, alone.
    fn answer(&mut self, heard: &Message, bytes: &[u8]) {
        let Ok(query) = Query::read(bytes) else {
            return;
        };
        let records = self.records(heard.source.link);
        if !query.wants(&records) {
            return;
        }
        if heard.port != PORT {
            if let Ok(message) = legacy_answer(&records, &query) {
                self.links.answer(heard, &message);
            }
            return;
        }
        let mut turns = self.turns.iter_mut();
        if let Some(turn) = turns.find(|turn| turn.link == heard.source.link) {
            let (soon, free) = (Instant::now() + delay(), turn.last.map(|last| last + PAUSE));
            let at = free.map_or(soon, |free| free.max(soon));
            turn.next = Some(turn.next.map_or(at, |next| next.min(at)));
        }
    }
}

/// Whether a peer that listens at `listen` is at `ip` for others on that link. Who hears a link-local address there has its
/// scope by the link where it is heard (RFC 6762, section 15).
fn is_served(listen: SocketAddr, link: u32, ip: IpAddr) -> bool {
    let at = listen.ip().to_canonical();
    let is_on_link = match listen {
        SocketAddr::V6(v6) if is_link_local(at) => v6.scope_id() == link,
        _ => true,
    };
    match at.is_unspecified() {
        true => at.is_ipv6() || ip.is_ipv4(),
        false => at == ip && is_on_link,
    }
}

fn delay() -> Duration {
    let random = getrandom::u32().unwrap_or_default();
    DELAY + DELAY_MORE.mul_f64(f64::from(random) / f64::from(u32::MAX))
}
