//! How pairing fails.

use super::Failure;
use crate::pair::{PAIRING_PORT, PairError};

impl From<PairError> for Failure {
    fn from(error: PairError) -> Self {
        let failure = || Self::of(&error);
        match error {
            PairError::WrongCode { left: 1.. } => {
                failure().hint("compare it with what the other machine shows, and try again")
            }
            PairError::WrongCode { .. } | PairError::Burned | PairError::Used | PairError::Expired => {
                failure().hint("a new code on the circle's machine: colis pair")
            }
            PairError::Impostor => failure().hint(
                "somebody else may be between: check the address, and take a new code: colis pair",
            ),
            PairError::Refused { .. } => failure()
                .hint(
                "another name helps if that one is taken: --name NAME; the code still counts",
            ),
            PairError::Unreachable { .. } => failure().hint(format!(
                "run `colis pair` there first, and let its firewall pass TCP port {PAIRING_PORT}, or the one that it shows"
            )),
            PairError::ServesFiles { .. } => failure()
                .hint("run `colis pair` there, and type what it shows; most often that is no port: colis pair HOST"),
            PairError::NameTaken { ref free, .. } => {
                let another = match free {
                    Some(free) => format!("{free} is free: --name {free}"),
                    None => "choose another: --name NAME".to_owned(),
                };
                failure().hint(format!("{another}; the code still counts"))
            }
            PairError::OnlyLooked | PairError::MadeWay => failure(),
            PairError::Busy => failure().hint("try again in a few seconds"),
            PairError::NoAddress => failure(),
            PairError::Silent | PairError::Broken(_) | PairError::TakenBack { .. } => {
                failure().hint("try again; nothing was kept")
            }
            PairError::Protocol(_) => failure()
                .hint("is it `colis pair` that listens there, of a like version?"),
            PairError::Undecided => failure().hint(
                "pair again; if the name is taken now, the circle's machine says which peer has it: colis certs show",
            ),
            PairError::HasCertificates { .. } => failure().hint(
                "nothing was changed; leave this circle first: colis certs leave; or join from another home: --home DIR",
            ),
            PairError::Tls(error) => error.into(),
            PairError::Failed(_) => failure(),
        }
    }
}
