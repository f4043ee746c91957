//! How a command fails for an error of the session.

use std::path::Path;

use super::{ExitCode, Failure, ambiguous};
use crate::{
    name::{Escaped, shell_word},
    session::{
        Error, Kind, Mistake, NoPlace, NotReached, advice::no_rights, care::NO_HOME,
        certs::LeaveError, host_name, is_short_id, service::UnitError,
    },
    trust::name_of,
    wire::DEFAULT_PORT,
};

impl From<Kind> for ExitCode {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Usage => Self::Usage,
            Kind::Config => Self::Config,
            Kind::Trust => Self::Trust,
            Kind::Integrity => Self::Integrity,
            Kind::NotFound => Self::NotFound,
            Kind::Storage => Self::Storage,
            Kind::Network => Self::Network,
            Kind::Locked => Self::Locked,
            Kind::Partial => Self::Partial,
            Kind::Interrupted => Self::Interrupted,
        }
    }
}

impl From<NotReached> for Failure {
    fn from(missed: NotReached) -> Self {
        (*missed.error).into()
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let (culprit, peer) = (error.culprit(), error.peer());
        let address = error.address().cloned();
        with_hint(error).about(culprit, peer, address.as_ref())
    }
}

/// What an error says, and what to do.
fn with_hint(error: Error) -> Failure {
    let failure = Failure::of(&error);
    match error {
            Error::NoHomeFolder(_)
            | Error::UnmarkedHome(_)
            | Error::AmongReceived { .. }
            | Error::NotAHome(_)
            | Error::NoPlace(_)
            | Error::NoHome(_) => of_the_home(&error, failure),
            Error::Usage(mistake) => mistake.into(),
            Error::UnknownPeer { name, nearest } => failure.hint(who_is_known(&name, nearest)),
            Error::Forgotten { name } => failure.hint(format!("to know it again: colis peers add {name}")),
            Error::NoAddress { peer, is_self: true } => failure.hint(format!(
                "to keep something here: colis share PATH --to {peer}"
            )),
            Error::NoAddress { peer, is_self: false } => failure.hint(format!(
                "say where it is once: colis peers add HOST:PORT (its name is {peer})"
            )),
            Error::Unreachable { tries, .. } => Failure::of_several(tries),
            Error::NobodyReached { tries } => Failure::of_several(tries),
            Error::NamedWithPort { peer, .. } => failure.hint(format!(
                "{peer} is a known peer: leave out the port, and its addresses are tried; with a port it is a host"
            )),
            Error::NameDiffers { .. }
            | Error::OtherBundle { .. }
            | Error::NoRandom(_)
            | Error::Task(_) => failure,
            Error::Revoked { .. } => failure
                .hint("leave it out; or give that machine a new certificate: colis certs issue"),
            Error::PastRenewal { source, todo } => Failure::from(*source).hint(todo),
            Error::StoppedBy { .. } => failure.hint(
                "it is not tried again by itself; ask there, or forget it: colis send --drop ID (see colis status)",
            ),
            Error::NoPassword(source) => match source.downcast::<Failure>() {
                Ok(failure) => *failure,
                Err(_) => failure,
            },
            Error::Io { path, source } => Failure::io(&path, &source),
            Error::Address(error) => Failure::from(error).hint("see who is known: colis peers"),
            Error::Config(error) => error.into(),
            Error::Store(error) => error.into(),
            Error::Manifest(error) => error.into(),
            Error::Crypto(error) => error.into(),
            Error::Transfer(error) => error.into(),
            Error::Received(error) => error.into(),
            Error::Folder(error) => error.into(),
            Error::Unit(error) => failure.hint(about_a_unit(&error)),
            Error::Tls(error) => error.into(),
            Error::Trust(error) => error.into(),
            Error::Pair(error) => error.into(),
            Error::Leave(error) => failure.hint(about_leaving(&error)),
            Error::Peer(error) => error.into(),
            Error::NothingNamed { .. }
            | Error::NothingWaits { .. }
            | Error::NothingArrives { .. }
            | Error::NothingUnfinished { .. }
            | Error::NothingOfOurs { .. }
            | Error::NothingToDelete { .. }
            | Error::NoCopy { .. } => where_to_look(&error, failure),
            other => of_the_circle(&other, failure),
        }
}

/// What to do where there is no home, or none that is used unasked.
fn of_the_home(error: &Error, failure: Failure) -> Failure {
    match error {
        Error::NoHomeFolder(_) => failure.hint("name one: --home DIR"),
        Error::UnmarkedHome(_) => failure.hint(
            "if it is yours, name it once: colis --home . status; if it was sent to you, run colis in another folder",
        ),
        Error::AmongReceived { received, .. } => failure.hint(format!(
            "run colis in another folder, or name another: --home DIR; if it is yours, move it out of {} first",
            received.display()
        )),
        Error::NoPlace(why) => failure.hint(another_place(why)),
        _ => failure.hint(NO_HOME),
    }
}

/// What to do about a folder that cannot become the one of received files.
fn another_place(why: &NoPlace) -> String {
    const ANOTHER: &str = "choose a folder of its own, for instance ~/Downloads/colis";
    match why {
        NoPlace::Relative { path } => match std::path::absolute(path) {
            Ok(whole) => format!("name it by its whole path: {}", shell_word(whole)),
            Err(_) => "name it by its whole path, or by one that begins with ~/".to_owned(),
        },
        NoPlace::NoParent { parent } => {
            let parent = shell_word(parent);
            format!("is its disk mounted? Else make it first: mkdir -p {parent}")
        }
        NoPlace::Link { to: Some(to), .. } => {
            format!("name the folder that it leads to: {}", shell_word(to))
        }
        NoPlace::Unwritable { path, source } => {
            no_rights(path, source).unwrap_or_else(|| ANOTHER.to_owned())
        }
        _ => ANOTHER.to_owned(),
    }
}

/// Where to look when no transfer is what was named.
fn where_to_look(error: &Error, failure: Failure) -> Failure {
    let hint = match error {
        Error::NothingNamed {
            has_password: true, ..
        } => "what only a password opens is named by its id: colis list [PEER]",
        Error::NothingWaits { .. } => "see what waits: colis inbox",
        Error::NothingArrives { .. } => "see what is arriving: colis inbox",
        Error::NothingToDelete { at: None, .. } => {
            "see what is here: colis list; to recall what was sent: colis delete ID --at PEER"
        }
        Error::NothingToDelete { .. } => "see what is there: colis list PEER",
        Error::NothingUnfinished { .. } => "see what is not finished: colis status",
        Error::NothingOfOurs { .. } => {
            "see what is there: colis list [PEER]; say who stores it: --at PEER"
        }
        Error::NoCopy { .. } => {
            "of what was sent it is kept until it ends, if the files can be read again; see what is here: colis list; or fetch it: colis \
             receive --from"
        }
        _ => "see what is there: colis list [PEER]",
    };
    match error {
        Error::NothingNamed { text, .. }
        | Error::NothingToDelete { text, .. }
        | Error::NothingOfOurs { text, .. } => failure.hint(about_an_id(text, hint)),
        _ => failure.hint(hint),
    }
}

/// `hint`, after why `text` is not taken for an id where it may be meant as one.
pub(super) fn about_an_id(text: &str, hint: &str) -> String {
    match is_short_id(text) {
        true => format!("of an id give 4 digits or more; {hint}"),
        false => hint.to_owned(),
    }
}

fn about_leaving(error: &LeaveError) -> String {
    match error {
        LeaveError::Served { .. } => "end it first: colis stop".to_owned(),
        LeaveError::Waiting { .. } => {
            "open it: colis inbox accept --all; or refuse it: colis inbox refuse ID".to_owned()
        }
        LeaveError::HasMembers { own, .. } => format!(
            "revoke them first: colis certs revoke NAME; or end the circle for all: colis certs leave --end-circle {own}"
        ),
        LeaveError::MembersUnknown { own, .. } => format!(
            "restore it from a backup; or end the circle for whoever is in it: colis certs leave --end-circle {own}"
        ),
        LeaveError::OtherName { own, .. } => {
            format!("to end its circle: colis certs leave --end-circle {own}")
        }
        LeaveError::HasLeft {
            folder,
            certs,
            revoked,
        } => {
            let anew =
                "join another circle: colis pair HOST; make one: colis certs init --name NAME";
            match revoked {
                true => format!("{anew}; those keys are revoked"),
                false => format!("{anew}; or go back: {}", to_go_back(folder, certs)),
            }
        }
    }
}

/// The command that moves `folder` back. What is in its place would take it in as a folder.
pub(in crate::cli) fn to_go_back(folder: &Path, certs: &Path) -> String {
    let (from, to) = (shell_word(folder), shell_word(certs));
    match certs.symlink_metadata().is_ok() {
        true => format!("mv {to} {to}.before && mv {from} {to}"),
        false => format!("mv {from} {to}"),
    }
}

fn about_a_unit(error: &UnitError) -> &'static str {
    match error {
        UnitError::NoFolder => "set HOME, or XDG_CONFIG_HOME",
        UnitError::NotThere(_) => "another name: --unit NAME; a system's unit is removed by hand",
        UnitError::NotOurs(_) => "move it away, then run this again",
        UnitError::OfAnother { .. } => {
            "give this home a unit of its own: --unit NAME; or remove that one: colis serve --uninstall with its home"
        }
        UnitError::BadName
        | UnitError::NoText { .. }
        | UnitError::QuotedProgram(_)
        | UnitError::ControlCharacter(_)
        | UnitError::Colon { .. } => {
            "no unit was written; move it to another name, or start colis serve in another way"
        }
    }
}

/// What to do about an error of certificates, of pairing or of looking around.
fn of_the_circle(error: &Error, failure: Failure) -> Failure {
    match error {
        Error::NameHeld { peer, .. } => failure.hint(format!(
            "choose another name; or revoke that one for good: colis certs revoke {peer}"
        )),
        Error::NotWhole(_) => {
            failure.hint("name the whole folder that `colis certs issue` made")
        }
        Error::MakerUnknown => failure.hint("name it: colis certs renew --from PEER"),
        Error::NoCircleKey => {
            failure.hint("ask the machine that made the circle: colis certs renew --from PEER")
        }
        Error::NowhereToRenew { .. } => {
            failure.hint("say where it is: colis certs renew --from HOST:PORT")
        }
        Error::ClocksDiffer { .. } => failure.hint(
            "set the clock that is wrong: timedatectl set-ntp true; then renew it: colis certs renew",
        ),
        Error::CannotInvite { maker, .. } => {
            let maker = maker.as_ref().map_or_else(String::new, |maker| format!(", {}", Escaped::new(maker)));
            failure.hint(format!(
                "run it on the machine that made the circle{maker}; to join another: colis --home DIR pair HOST"
            ))
        }
        Error::OfAFormerSelf { .. } => {
            failure.hint("take it out, and send it in this circle: colis receive, colis send")
        }
        Error::NoInviter(_) => failure.hint("type the address that the other machine shows"),
        Error::Bind(_) => failure.hint("choose another: --port 8445"),
        Error::StillServing { .. } => {
            failure.hint("its requests in work may take longer; see whether it serves: colis status")
        }
        Error::ServedUnknown(_) => failure.hint(
            "is its disk mounted? Mount it, then colis stop; or end that process yourself, if there is one: pgrep -a colis, kill PID",
        ),
        Error::LookAround(_) => {
            failure.hint("an address that you know always works: colis peers add HOST:PORT")
        }
        _ => failure,
    }
}

impl From<Mistake> for Failure {
    fn from(mistake: Mistake) -> Self {
        let failure = Self::of(&mistake);
        match mistake {
            mistake @ Mistake::Ambiguous { .. } => ambiguous::failure(failure, &mistake),
            Mistake::ShortId { .. } => failure.hint("see the ids: colis list [PEER], colis inbox"),
            Mistake::SeveralPeers { .. } => failure.hint("give more digits of the id"),
            Mistake::NobodyToSendTo => {
                failure.hint("say who: --to NAME or --to HOST:PORT; see `colis peers`")
            }
            Mistake::NobodyCouldOpen => failure.hint("say who: --to PEER, or use --password"),
            Mistake::ChunkSize => failure.hint("for instance --chunk-size 4MiB"),
            Mistake::LifeTooShort => {
                failure.hint("leave it out for 30 days, or give a time: --expires 7d")
            }
            Mistake::WaitsForItself => {
                failure.hint("leave out --wait; open it with: colis receive")
            }
            Mistake::NotToldWhenOpened { .. } => {
                failure.hint("leave out --wait; the recipient collects it when it is on")
            }
            Mistake::OwnName { .. } => failure.hint("choose another name"),
            Mistake::OutsideFiles => failure.hint(
                "name all three: colis certs import --ca FILE --cert FILE --key FILE [--crl FILE]",
            ),
            Mistake::ForgetsItself { .. } => failure.hint("to leave the circle: colis certs leave"),
            Mistake::OwnRole => failure.hint("only its scripts can have another role: --script"),
            Mistake::DiscoveryOff => failure.hint("switch it on: colis config set discovery true"),
            Mistake::NamedAlready => {
                failure.hint("leave out --name here; the other machine may use it")
            }
            Mistake::NoName => failure.hint("--name NAME"),
            Mistake::BadName { name } => {
                let like = name_of(&name.replace('.', "-"));
                let like = like.or_else(host_name);
                let like = like.unwrap_or_else(|| "peer-2".to_owned());
                failure.hint(format!("for instance: {like}"))
            }
            Mistake::NoHost { .. } => failure.hint("for instance --san nas.example"),
            Mistake::SeveralInviters { .. } => {
                failure.hint("type the address that the right one shows")
            }
            Mistake::OwnHost { .. } => failure.hint(
                "on the other machine: colis pair; then here what that one shows: colis pair HOST",
            ),
            Mistake::CodeForHost => failure.hint(
                "type what the other machine shows: colis pair HOST; the code is asked for then",
            ),
            Mistake::MessageLength { .. } => {
                failure.hint("send longer text as a file: colis send - --name notes.txt")
            }
            Mistake::MovesNothing => failure.hint("leave it out for none"),
            Mistake::NothingToReceive => failure.hint(
                "name ids or files, or take everything: --all; see what is there: colis list",
            ),
            Mistake::NotOneTransfer { .. } => failure.hint("name one id: colis list [PEER]"),
            Mistake::TooManySources { .. } => failure.hint("name those that are nearest"),
            Mistake::ResumedByRepeating { .. } => {
                failure.hint("run the command again that began it; see to whom: colis status")
            }
            Mistake::ResumeNeedsPassword => failure.hint("colis send --resume ID --password"),
        }
    }
}

fn who_is_known(name: &str, nearest: Option<String>) -> String {
    let nearest = nearest.map_or(String::new(), |near| format!("did you mean {near}? "));
    format!(
        "{nearest}who is known: colis peers; who was never met: colis peers add HOST; a host is typed with its port, \
         {name}:{DEFAULT_PORT}"
    )
}
