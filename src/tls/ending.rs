//! When the certificates of a home end.

use super::{CertsDir, Circle, Inspected};
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
    /// What is wrong if several lists contradict each other: none of them ends the others.
    pub conflict: Option<String>,
}

impl Endings {
    /// Those of the files in `dir`.
    pub fn read(dir: &CertsDir) -> Self {
        let (own, script) = (Inspected::peer(dir), Inspected::script(dir));
        Self::of(
            own.ok().map(|own| own.caller.not_after),
            script.ok().map(|script| script.caller.not_after),
            Circle::load(dir).ok().as_ref(),
        )
    }

    /// Those of a peer whose certificates end then.
    pub fn of(
        certificate: Option<Timestamp>,
        scripts_certificate: Option<Timestamp>,
        circle: Option<&Circle>,
    ) -> Self {
        Self {
            certificate,
            scripts_certificate,
            circle: circle.map(Circle::not_after),
            revocation_list: circle.and_then(Circle::crl_next_update),
            conflict: circle.and_then(Circle::conflict),
        }
    }
}

/// Whole days from `now` until `end`: 0 on its last day, negative when it is over.
pub fn days_left(end: Timestamp, now: Timestamp) -> i64 {
    const DAY: i64 = 24 * 3600;
    let seconds = |time: Timestamp| i64::try_from(time.unix_seconds()).unwrap_or(i64::MAX);
    seconds(end).saturating_sub(seconds(now)).div_euclid(DAY)
}
