//! How a command fails for a store, ours or a peer's.

use std::path::Path;

use super::{Failure, Hint};
use crate::{
    name::shell_word,
    session::{
        advice::{distrusted, refused},
        damage::AGAIN,
    },
    store::{BadFormat, Missing, NetworkCause, Promised, Rejection, Remote, StoreError},
    wire::Code,
};

/// For a peer of which nothing more is known.
fn which_step() -> Hint {
    Hint::from("find out which step fails: colis doctor PEER; the same command continues later")
        .in_menu("find out which step fails: 9 More, Doctor; the same again continues later")
}

/// To do it again, after `before`.
fn again(before: &str) -> Hint {
    let command = format!("{before}run the same command again");
    Hint::from(command).in_menu(format!("{before}choose the same again"))
}

/// For a store that is not there. Only a person knows whether it is lost.
const NOT_MOUNTED: &str = "is its disk mounted? If that store is lost, begin with the one that is there or with a new one: \
    colis check --new-store";

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let failure = || Self::of(&error);
        match &error {
            StoreError::NotFound(Missing::Damaged(_)) => failure().hint(AGAIN),
            StoreError::NotFound { .. } => {
                failure().hint("see what is there: colis list")
            }
            StoreError::HashMismatch { .. } | StoreError::ChunkLength { .. } => {
                failure()
            }
            StoreError::MissingChunks { .. } => {
                failure().hint(again(""))
            }
            StoreError::NoRoom(_) => failure()
                .hint(again("when that is done, ")),
            StoreError::NoSpace { promised, .. } => failure().hint(for_space(*promised)),
            StoreError::TooMuchUnnamed { .. } => failure()
                .hint("free what is unfinished there: colis gc --unfinished"),
            StoreError::Deleted => failure(),
            StoreError::EndsTooSoon { .. } => {
                failure().hint("send it again with a longer life: --expires 7d")
            }
            StoreError::ReadOnly { .. } => failure()
                .hint("look at that disk, and whether its home was moved; then restart its peer, which opens the store again"),
            StoreError::Displaced { .. } => failure().hint(NOT_MOUNTED),
            StoreError::Locked { .. } => {
                failure().hint("wait for it to end, or use another --home")
            }
            StoreError::Format { path, fault } => failure().hint(damaged(path, fault)),
            StoreError::Later { .. } => failure()
                .hint("a newer colis has written it: use that one, or another --home"),
            StoreError::Manifest(manifest) => manifest.clone().into(),
            StoreError::Refused { code, .. } => match code.known() {
                Some(Code::Internal) => {
                    failure()
                        .hint("its log says what: look there, or ask its owner")
                }
                Some(Code::FromTheFuture | Code::Expired) => {
                    failure().hint("compare the clocks of both machines: date -u")
                }
                _ => failure(),
            },
            StoreError::Untrusted { cause, .. } => failure().hint(match cause {
                Rejection::WeRefusedThem(distrust) => distrusted(distrust),
                Rejection::TheyRefusedUs(alert) => refused(*alert),
            }),
            StoreError::TooSlow { .. } => failure().hint(
                "a small chunk always fits through: send it with --chunk-size 64KiB --jobs 1",
            ),
            StoreError::Network { remote, cause } => failure().hint(for_network(remote, cause)),
            StoreError::Busy { .. } | StoreError::NobodyToAsk { .. } => failure().hint(which_step()),
            StoreError::Protocol { .. } => {
                failure().hint("is it a colis peer, of a like version?")
            }
            StoreError::Io { path, source } => Self::io(path, source),
        }
    }
}

/// For a peer that is not reached, or not any more.
fn for_network(remote: &Remote, cause: &NetworkCause) -> Hint {
    match cause {
        NetworkCause::Refused(_) => this_says("start it there: colis serve; if it serves, this says"),
        NetworkCause::Unanswered { .. } => this_says(
            "it is there, and too slow or too busy to answer: try again later, or ask another. This says",
        ),
        NetworkCause::Silent { .. } => Hint::from(
            "it was waited for: go on by the same command when it is back, or wait longer: --retry-for 10m",
        )
        .in_menu("it was waited for: choose the same again when it is back"),
        NetworkCause::ConnectTimeout => this_says(&format!(
            "is that machine on, and does its firewall let TCP port {} pass? This says",
            remote.address().port()
        )),
        _ => which_step(),
    }
}

/// That doctor finds the step that fails, after `before`.
fn this_says(before: &str) -> Hint {
    let command = format!("{before} which step fails: colis doctor PEER");
    Hint::from(command).in_menu(format!("{before} which step fails: 9 More, Doctor"))
}

/// For a file of a store that is not what it should be. The one that tells the format can be written again: its id is in the home.
fn damaged(path: &Path, fault: &BadFormat) -> String {
    let mark = path
        .ancestors()
        .nth(2)
        .map(|home| home.join("certs/store-id"));
    let path = shell_word(path);
    let is_of_format = matches!(fault, BadFormat::Empty | BadFormat::NoStore);
    match mark.filter(|mark| is_of_format && mark.exists()) {
        Some(mark) => format!(
            "it is damaged, as by a loss of power; if that store is the one of this home: (echo colis store 1; cat {}) > {path}, then \
             colis check --read-data",
            shell_word(mark)
        ),
        None if *fault == BadFormat::NoStoreId => {
            format!("if the store in chunks/ is the one of this home, it is noted anew: rm {path}")
        }
        None => "it is damaged, or something else: restore it from a backup, or use another --home"
            .to_owned(),
    }
}

/// What to do where there is no space, of which so much is promised to transfers under way.
fn for_space(promised: Promised) -> Hint {
    if promised.bytes == 0 {
        return again("free some space there, then ");
    }
    let minutes = promised.seconds.div_ceil(60);
    let then = |again: &str| {
        format!(
            "what is promised is free in {minutes} min if nothing more of them comes: {again} then, or free some space there"
        )
    };
    Hint::from(then("run the same command again")).in_menu(then("choose the same again"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::report::ExitCode;

    #[test]
    fn what_a_peer_refuses_for_its_date_is_a_matter_of_clocks() {
        for code in [Code::FromTheFuture, Code::Expired] {
            let refused = StoreError::Refused {
                code: code.into(),
                detail: String::new(),
                by: None,
            };
            let (exit, _, hint) = Failure::from(refused).into_parts();
            assert_eq!(exit, ExitCode::Trust);
            assert!(hint.is_some_and(|hint| hint.contains("clocks of both machines")));
        }
    }

    #[test]
    fn a_peer_that_fails_is_no_matter_of_trust() {
        let failure = Failure::from(StoreError::Refused {
            code: Code::Internal.into(),
            detail: "something failed here; its log says what".to_owned(),
            by: None,
        });
        let (code, what, _) = failure.into_parts();
        assert_eq!(code, ExitCode::Network);
        assert_eq!(what, "something failed at the peer, not here");
    }

    #[test]
    fn no_hint_of_the_menu_speaks_of_a_command() {
        let promised = Promised {
            bytes: 3,
            seconds: 90,
        };
        let free = Promised {
            bytes: 0,
            seconds: 0,
        };
        for hint in [
            which_step(),
            again(""),
            this_says("is it on? This says"),
            for_space(promised),
            for_space(free),
        ] {
            let (command, menu) = (hint.clone().text(false), hint.text(true));
            assert!(command.contains("command") || command.contains("colis "));
            assert!(
                !menu.contains("command") && !menu.contains("colis "),
                "{menu}"
            );
        }
    }

    #[test]
    fn what_is_promised_to_others_is_said() {
        let failure = |bytes| {
            let seconds = 90;
            Failure::from(StoreError::NoSpace {
                remote: None,
                needed: 10,
                free: 5,
                quota: None,
                promised: Promised { bytes, seconds },
            })
            .into_parts()
        };
        let (_, what, hint) = failure(3);
        assert!(
            what.ends_with("5 B free on its disk; 3 B more is promised to transfers under way"),
            "{what}"
        );
        assert!(hint.is_some_and(|hint| hint.contains("in 2 min")));
        assert!(!failure(0).1.contains("promised"));
    }
}
