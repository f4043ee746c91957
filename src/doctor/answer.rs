//! What a peer answers: whether it accepts us, how it is, its clock, its revocations, how fast it is.

use std::time::{Duration, Instant};

use jiff::SignedDuration;
use tokio::time::timeout;

use super::{Finding, Report, certs, peer::Met};
use crate::{
    client::{ClientOptions, Handshake, HandshakeError, PeerClient},
    config::units::Size,
    manifest::Timestamp,
    peer::after_the_end,
    session::{Kind, Session, advice::refused},
    store::{NetworkCause, StoreError},
    tls::{Caller, Renewed, Seen},
    wire::{Health, HealthStatus},
};

const ANSWER_TIME: Duration = Duration::from_secs(3);
const REFUSAL_TIME: Duration = Duration::from_secs(1);
const LIST_TIME: Duration = Duration::from_secs(1);
const ROUND_TRIP_TIME: Duration = Duration::from_millis(1500);
const ROUND_TRIPS: usize = 3;
/// Slow, for a network of one's own.
const SLOW: Duration = Duration::from_millis(300);

/// Asks the peer that we have met.
pub(super) async fn examine(us: &Session, met: Met, report: &mut Report<'_>) {
    let options = ClientOptions {
        connect_timeout: ANSWER_TIME,
        idle_timeout: ANSWER_TIME,
        retries: 0,
        ..ClientOptions::default()
    };
    let expected = Some(met.caller.key_id);
    let client = us.client(&met.address.into(), expected, &Seen::default(), options);
    let client = match client {
        Ok(client) => client,
        Err(failure) => {
            report.add(Finding::failure("answer", failure));
            return;
        }
    };
    let answered = timeout(ANSWER_TIME, client.health_and_time()).await;
    let now = Timestamp::now();
    let error = match answered {
        Ok(Ok((health, date))) => {
            report.add(Finding::ok("our-certificate", "accepted"));
            report.add(health_of(&health));
            report.add(clock(us, &met.caller, date, now));
            report.add(revocation(us, &client).await);
            report.add(round_trip(&client).await);
            return;
        }
        Ok(Err(error)) => error,
        Err(_) => StoreError::Network {
            remote: client.remote(),
            cause: NetworkCause::NoAnswer,
        },
    };
    no_answer(us, met.handshake, error, report).await;
}

/// A peer judges our certificate after its part of the handshake: whoever does not answer may have refused it.
async fn no_answer(us: &Session, handshake: Handshake, error: StoreError, report: &mut Report<'_>) {
    const STEP: &str = "our-certificate";
    let ended = has_ended(us);
    match handshake.refusal(REFUSAL_TIME).await {
        Some(refusal @ HandshakeError::Refused { alert }) => {
            let hint = ended.unwrap_or_else(|| refused(alert).to_owned());
            report.add(Finding::fail(STEP, Kind::Trust, &refusal).hint(hint));
        }
        Some(other) => {
            let hint =
                "it may not accept our certificate, or have too many connections: look at its log";
            report.add(Finding::fail(STEP, Kind::Network, other).hint(hint));
        }
        // The circle's machine lets in a certificate that has ended, to be renewed, and answers that it is no good.
        None if matches!(error, StoreError::Untrusted { .. }) => {
            let found = Finding::failure(STEP, error);
            report.add(match ended {
                Some(hint) => found.hint(hint),
                None => found,
            });
        }
        None => {
            report.add(Finding::ok(STEP, "not refused"));
            report.add(
                Finding::fail("answer", Kind::Network, error)
                    .hint("it may hang or be overloaded: look at its log, restart it there"),
            );
        }
    }
}

/// What to do about our certificate, if it has ended.
fn has_ended(us: &Session) -> Option<String> {
    let (end, now) = (us.identity().caller().not_after, Timestamp::now());
    let dir = us.home().dir();
    (end < now).then(|| after_the_end(&dir, Renewed::Peer, end, now))
}

fn health_of(health: &Health) -> Finding {
    const STEP: &str = "answer";
    let ours = env!("CARGO_PKG_VERSION");
    let version = if health.version == ours {
        format!("colis {ours}")
    } else {
        format!("colis {}, ours is {ours}", health.version)
    };
    match (health.status, health.free) {
        (HealthStatus::Ok, Some(0)) => Finding::warn(
            STEP,
            format!("{version}; nothing more can be stored there"),
        )
        .hint(
            "free some space on that machine (colis gc, colis gc --unfinished), or raise its quota",
        ),
        (HealthStatus::Ok, Some(free)) => Finding::ok(
            STEP,
            format!("{version}, well, {} can be stored there", Size(free)),
        ),
        (HealthStatus::Ok, None) => Finding::ok(STEP, format!("{version}, well")),
        (HealthStatus::ReadOnly, _) => {
            let what = format!("{version}; it cannot write any more");
            Finding::fail(STEP, Kind::Storage, what)
                .hint("look at the disk of that machine and whether its home was moved, then restart `colis serve` there")
        }
    }
}

fn clock(us: &Session, theirs: &Caller, date: Option<Timestamp>, now: Timestamp) -> Finding {
    const STEP: &str = "their-clock";
    let Some(date) = date else {
        return Finding::skip(STEP, "its answer has no Date");
    };
    let (here, there) = (now.unix_seconds(), date.unix_seconds());
    let by = here.abs_diff(there);
    if by < certs::CLOCK_SECONDS {
        return Finding::ok(STEP, "within a minute of ours");
    }
    let way = if there > here { "ahead of" } else { "behind" };
    let by = SignedDuration::from_secs(i64::try_from(by).unwrap_or(i64::MAX));
    let what = format!("it says {date}, {by:#} {way} ours");
    let hint = "set the clock that is wrong: timedatectl set-ntp true";
    let valid = |caller: &Caller| (caller.not_before..=caller.not_after).contains(&date);
    for (whose, caller) in [("our", us.identity().caller()), ("its", theirs)] {
        if !valid(caller) {
            let what = format!("{what}: by it {whose} certificate does not count");
            return Finding::fail(STEP, Kind::Trust, what).hint(hint);
        }
    }
    Finding::warn(STEP, what).hint(hint)
}

async fn revocation(us: &Session, client: &PeerClient) -> Finding {
    const STEP: &str = "their-revocation";
    let circle = us.circle().now();
    if circle.is_outside() {
        return Finding::ok(
            STEP,
            "each machine has the authority's lists from elsewhere",
        );
    }
    let ours = circle.crl_number();
    let theirs = match timeout(LIST_TIME, client.crl()).await {
        Ok(Ok(Some(pem))) => match circle.compare_lists(&us.dir, &pem) {
            Ok((number, false)) if number == ours => {
                let what = format!("its list {number} is another one than our list {ours}");
                return Finding::fail(STEP, Kind::Trust, what).hint(
                    "exchange them: colis peers check PEER; the circle's machine makes one of both",
                );
            }
            Ok((number, _)) => number,
            Err(error) => {
                return Finding::fail(STEP, Kind::Trust, error).hint(
                    "its crl.pem is damaged or forged: remove it there, then reach another member",
                );
            }
        },
        Ok(Ok(None)) => 0,
        Ok(Err(error)) => return Finding::warn(STEP, error).hint("try again; look at its log"),
        Err(_) => {
            return Finding::warn(STEP, "no answer in time").hint("try again; look at its log");
        }
    };
    match theirs.cmp(&ours) {
        std::cmp::Ordering::Equal => Finding::ok(STEP, format!("list {theirs}, as ours")),
        std::cmp::Ordering::Greater => Finding::warn(
            STEP,
            format!("its list {theirs} is newer than ours ({ours})"),
        )
        .hint("take it over: colis peers check PEER"),
        std::cmp::Ordering::Less if theirs == 0 => {
            Finding::warn(STEP, "it has no list: a revoked peer would be let in there")
                .hint("on that machine reach a member that has one: colis peers check PEER")
        }
        std::cmp::Ordering::Less => Finding::warn(
            STEP,
            format!("its list {theirs} is older than ours ({ours})"),
        )
        .hint("on that machine reach a member that has the new one: colis peers check PEER"),
    }
}

/// The shortest of a few, on a connection that is open.
async fn round_trip(client: &PeerClient) -> Finding {
    const STEP: &str = "round-trip";
    let measuring = async {
        let mut shortest = Duration::MAX;
        for _ in 0..ROUND_TRIPS {
            let start = Instant::now();
            client.health_and_time().await.map_err(|e| e.to_string())?;
            shortest = shortest.min(start.elapsed());
        }
        Ok::<_, String>(shortest)
    };
    let slow =
        "the network is slow or busy, or that machine is: nothing is wrong with the settings";
    match timeout(ROUND_TRIP_TIME, measuring).await {
        Ok(Ok(time)) if time < SLOW => Finding::ok(STEP, format!("{time:.1?}")),
        Ok(Ok(time)) => Finding::warn(STEP, format!("{time:.1?}")).hint(slow),
        Ok(Err(error)) => Finding::warn(STEP, error).hint(slow),
        Err(_) => {
            let what = format!("{ROUND_TRIPS} take longer than {ROUND_TRIP_TIME:?}");
            Finding::warn(STEP, what).hint(slow)
        }
    }
}
