//! What to do where one side does not trust the other.

use crate::{manifest::Distrust, store::Alert};

/// For our certificate that is revoked.
pub(crate) const ASK_FOR_NEW: &str =
    "ask the owner of the circle for a new certificate: colis certs issue";
const OTHER_CIRCLE: &str = "that peer belongs to another circle: both need certificates of one circle, see colis certs issue";

/// What to do about the certificate of a peer.
pub(crate) fn distrusted(distrust: &Distrust) -> &'static str {
    match distrust {
        Distrust::Expired { .. } => {
            "compare the clocks of both machines: timedatectl; if they are right, on that machine: colis certs renew, which a peer that serves does by itself if it reaches the circle's machine"
        }
        Distrust::NotYetValid { .. } => "compare the clocks of both machines: timedatectl",
        Distrust::Revoked { .. } => {
            "the owner of the circle took it back: that machine needs a new one, colis certs issue"
        }
        Distrust::Foreign { .. } => OTHER_CIRCLE,
        Distrust::OtherPeer { .. } => {
            "another machine is at that address now: give the new one; or if that peer really has a new key: \
             colis peers forget NAME"
        }
        Distrust::Malformed(_) | Distrust::WrongUsage { .. } | Distrust::Blocked { .. } => {
            "is it a colis peer? It should serve with the server-cert.pem that was issued for it"
        }
    }
}

/// What to do about a peer that refuses our certificate.
pub(crate) fn refused(alert: Alert) -> &'static str {
    match alert {
        Alert::Revoked => ASK_FOR_NEW,
        Alert::Expired => {
            "compare the clocks of both machines: timedatectl; if they are right, renew ours: colis certs renew"
        }
        Alert::Blocked => {
            "its owner has blocked this peer; only its owner can change that, there: colis peers role NAME member"
        }
        Alert::OtherCircle => OTHER_CIRCLE,
        Alert::NoneShown | Alert::OtherVersion | Alert::Other(_) => {
            "compare the certificates of both machines: colis certs show"
        }
    }
}
