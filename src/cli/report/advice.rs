//! What to do about certificates that do not count.

use crate::{manifest::Timestamp, tls::ca};

/// What to do where one side does not trust the other for this reason.
pub(super) fn untrusted(reason: &str) -> &'static str {
    if reason.contains("revoked") {
        "ask the owner of the circle for a new certificate: colis certs issue"
    } else if reason.contains("blocked") {
        "only its owner can change that, there: colis peers role NAME member"
    } else if reason.contains("refused our certificate (it has expired") {
        "compare the clocks of both machines; if they are right, renew ours: colis certs renew"
    } else {
        "compare certificates and clocks on both machines: colis certs show"
    }
}

/// What to do for a peer whose certificate counts until then.
pub(super) fn already_issued(name: &str, until: Option<Timestamp>) -> String {
    let revoke = format!("colis certs revoke {name}");
    let Some(until) = until else {
        return format!(
            "renew it on that machine: colis certs renew; or revoke it for good: {revoke}"
        );
    };
    let last = ca::last_renewal(until);
    match Timestamp::now() > last {
        true => format!(
            "it ended on {until} and could be renewed until {last}: revoke it, and issue or pair again, as another peer: {revoke}"
        ),
        false => format!(
            "renew it on that machine, until {last}: colis certs renew; or revoke it for good: {revoke}"
        ),
    }
}
