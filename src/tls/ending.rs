//! From when until when the certificates of a home count.

use super::{Caller, CertsDir, Circle, Inspected};
use crate::manifest::Timestamp;

/// The last second of everything in `certs/` that ends; `None` for what cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Endings {
    /// Of this peer's certificate.
    pub certificate: Option<Timestamp>,
    /// Of that of its scripts.
    pub scripts_certificate: Option<Timestamp>,
    /// Of the circle's own certificate.
    pub circle: Option<Timestamp>,
    /// When the newest revocation list should have been signed again.
    pub revocation_list: Option<Timestamp>,
    /// When all of them begin: later than now where a clock is wrong, or was where they were made.
    pub begins: Begins,
    /// What is wrong if several lists contradict each other: none of them ends the others.
    pub conflict: Option<String>,
}

impl Endings {
    /// Those of the files in `dir`.
    pub fn read(dir: &CertsDir) -> Self {
        let (own, script) = (Inspected::peer(dir), Inspected::script(dir));
        Self::of(
            own.ok().map(|own| Lifetime::of(&own.caller)),
            script.ok().map(|script| Lifetime::of(&script.caller)),
            Circle::load(dir).ok().as_ref(),
        )
    }

    /// Those of a peer whose certificates count then.
    pub fn of(
        certificate: Option<Lifetime>,
        scripts_certificate: Option<Lifetime>,
        circle: Option<&Circle>,
    ) -> Self {
        Self {
            certificate: certificate.map(|lifetime| lifetime.until),
            scripts_certificate: scripts_certificate.map(|lifetime| lifetime.until),
            begins: Begins {
                certificate: certificate.map(|lifetime| lifetime.from),
                scripts_certificate: scripts_certificate.map(|lifetime| lifetime.from),
                circle: circle.map(Circle::not_before),
                revocation_list: circle.and_then(Circle::crl_this_update),
            },
            circle: circle.map(Circle::not_after),
            revocation_list: circle.and_then(Circle::crl_next_update),
            conflict: circle.and_then(Circle::conflict),
        }
    }
}

/// The first second of everything in `certs/` that has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Begins {
    /// Of this peer's certificate.
    pub certificate: Option<Timestamp>,
    /// Of that of its scripts.
    pub scripts_certificate: Option<Timestamp>,
    /// Of the circle's own certificate.
    pub circle: Option<Timestamp>,
    /// When the newest revocation list was signed.
    pub revocation_list: Option<Timestamp>,
}

/// From when until when a certificate counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime {
    /// Its first second.
    pub from: Timestamp,
    /// Its last second.
    pub until: Timestamp,
}

impl Lifetime {
    /// That of a certificate.
    pub fn of(caller: &Caller) -> Self {
        let (from, until) = (caller.not_before, caller.not_after);
        Self { from, until }
    }
}

/// Whole days from `now` until `end`: 0 on its last day, negative when it is over.
pub fn days_left(end: Timestamp, now: Timestamp) -> i64 {
    const DAY: i64 = 24 * 3600;
    let seconds = |time: Timestamp| i64::try_from(time.unix_seconds()).unwrap_or(i64::MAX);
    seconds(end).saturating_sub(seconds(now)).div_euclid(DAY)
}
