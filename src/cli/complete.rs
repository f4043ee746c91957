//! What the Tab key proposes: the shell's script asks the program itself, so peers, transfers and settings are among it.

use std::{
    env,
    ffi::{OsStr, OsString},
    path::PathBuf,
    process,
};

use clap::{Arg, CommandFactory as _, ValueHint};
use clap_complete::{
    CompleteEnv, Shell,
    engine::{ArgValueCompleter, CompletionCandidate},
    env::Shells,
};

use super::args::Cli;
use crate::{
    config::SETTINGS,
    id::Short as _,
    name::Escaped,
    peer::{Direction, HistoryEntry},
    session::{self, Home},
    tls::{self, Circle, CircleHandle, Inspected},
    trust::{AddressBook, KnownPeer, MAX_MEMBERS},
};

/// Set by the script when it asks for proposals.
const VARIABLE: &str = "COLIS_COMPLETE";
/// Set by the script of bash: which of the words is to be completed. The other shells send no words after it.
const INDEX: &str = "_CLAP_COMPLETE_INDEX";
/// How many transfers are proposed, the newest ones.
const TRANSFERS: usize = 50;

/// Answers a shell that asks for proposals. If none asks, there is nothing to answer and `None` is returned.
pub(super) fn answer() -> Option<process::ExitCode> {
    let asked = CompleteEnv::with_factory(command).var(VARIABLE);
    let folder = env::current_dir().ok();
    match asked.try_complete(env::args_os(), folder.as_deref()) {
        Ok(false) => None,
        Ok(true) => Some(process::ExitCode::SUCCESS),
        // A message would stand in the middle of the line that is typed.
        Err(_) => Some(process::ExitCode::FAILURE),
    }
}

/// The script that makes `shell` ask.
pub(super) fn script(shell: Shell) -> Vec<u8> {
    let mut program = PathBuf::from(env::args_os().next().unwrap_or_else(|| "colis".into()));
    if program.components().count() > 1 {
        program = std::path::absolute(&program).unwrap_or(program);
    }
    let mut script = Vec::new();
    if let Some(asks) = Shells::builtins().completer(&shell.to_string()) {
        let program = program.to_string_lossy();
        // Writing to memory does not fail.
        let _ = asks.write_registration(VARIABLE, "colis", "colis", &program, &mut script);
    }
    if shell == Shell::Bash {
        script = for_bash(&String::from_utf8_lossy(&script)).into();
    }
    script
}

/// Bash quotes what has spaces if it is said to be a file, gives the typed word with its backslashes, and completes `~/` itself.
fn for_bash(script: &str) -> String {
    script
        .replace(
            "complete -o nospace",
            "complete -o default -o filenames -o nospace",
        )
        .replace(
            r#"words[COMP_CWORD]="$2""#,
            r#"words[COMP_CWORD]="${2//\\/}""#,
        )
}

/// The words of the command line that is being typed.
fn words() -> Vec<OsString> {
    let words = env::args_os().skip_while(|word| word != "--").skip(1);
    words.collect()
}

/// The index of the word that is completed.
fn index(words: &[OsString]) -> usize {
    let index = env::var(INDEX).ok().and_then(|index| index.parse().ok());
    index.unwrap_or(words.len().saturating_sub(1))
}

/// The command line with what can be proposed for its values. Options are proposed only where one is begun.
fn command() -> clap::Command {
    let words = words();
    let current = words.get(index(&words));
    let option = current.is_some_and(|word| word.to_string_lossy().starts_with('-'));
    with_values(Cli::command(), option)
}

fn with_values(mut command: clap::Command, options: bool) -> clap::Command {
    if !options {
        command = command.disable_help_flag(true).disable_version_flag(true);
    }
    let command = command.mut_args(|arg| {
        let hidden = arg.is_hide_set() || !(options || arg.is_positional());
        proposing(arg).hide(hidden)
    });
    command.mut_subcommands(|command| with_values(command, options))
}

/// The same argument, with what its value can be. The help names the kind of a value; each kind has its proposals.
fn proposing(arg: Arg) -> Arg {
    let named = arg.get_value_names().and_then(|names| names.first());
    let kind = named.map_or_else(|| arg.get_id().as_str().to_uppercase(), ToString::to_string);
    let propose: fn() -> Vec<CompletionCandidate> = match kind.as_str() {
        "PEER" => peers,
        "TRANSFER" | "ID|NAME" => transfers,
        "ID" => waiting,
        "SETTING" => settings,
        "VALUE" => values,
        _ => return arg,
    };
    arg.value_hint(ValueHint::Other)
        .add(ArgValueCompleter::new(move |current: &OsStr| {
            let current = current.to_string_lossy();
            let mut found = propose();
            found.retain(|found| found.get_value().to_string_lossy().starts_with(&*current));
            found
        }))
}

/// The home that the command line means. Without one, nothing of it can be proposed.
fn home() -> Option<Home> {
    let words = words();
    let after = words.iter().skip_while(|word| *word != "--home").nth(1);
    let joined = words
        .iter()
        .find_map(|word| word.to_str()?.strip_prefix("--home="));
    let named = after.cloned().or_else(|| joined.map(OsString::from));
    let named = named.or_else(|| env::var_os("COLIS_HOME"));
    Home::resolve(named.map(PathBuf::from).as_deref()).ok()
}

/// The other members of the circle, by the address book and by its directory, but for those that stand before a comma already.
fn peers() -> Vec<CompletionCandidate> {
    let Some(dir) = home().map(|home| home.dir()) else {
        return Vec::new();
    };
    let own = Inspected::peer(&dir).ok().map(|own| own.caller.key_id);
    let mut peers = AddressBook::new(dir.peers()).peers().unwrap_or_default();
    peers.extend(
        Circle::load(&dir)
            .ok()
            .and_then(|circle| {
                tls::other_members(&dir, &CircleHandle::new(circle), MAX_MEMBERS).ok()
            })
            .unwrap_or_default(),
    );
    let named = named_before();
    let is_left = |peer: &&KnownPeer| {
        Some(peer.peer_id) != own && !named.iter().any(|name| name == peer.called())
    };
    let left = peers.iter().filter(is_left);
    left.map(|peer| CompletionCandidate::new(peer.called()))
        .collect()
}

/// What stands before the last comma of the word that is completed.
fn named_before() -> Vec<String> {
    let words = words();
    let current = words.get(index(&words)).map(|word| word.to_string_lossy());
    let current = current.unwrap_or_default();
    let value = match current.split_once('=') {
        Some((option, value)) if option.starts_with('-') => value,
        _ => &current,
    };
    let before = value.rsplit_once(',').map_or("", |(before, _)| before);
    before.split(',').map(str::to_owned).collect()
}

fn transfers() -> Vec<CompletionCandidate> {
    lately(|_| true)
}

fn waiting() -> Vec<CompletionCandidate> {
    lately(|entry| entry.direction == Direction::Waiting)
}

/// The newest transfers of the history, by their ids; what is in them says which is which.
fn lately(wanted: impl Fn(&HistoryEntry) -> bool) -> Vec<CompletionCandidate> {
    let entries = home().and_then(|home| session::history(&home).ok());
    let mut proposed: Vec<CompletionCandidate> = Vec::new();
    for entry in entries
        .unwrap_or_default()
        .iter()
        .rev()
        .filter(|entry| wanted(entry))
    {
        let Some(manifest) = entry.manifest else {
            continue;
        };
        let id = OsString::from(manifest.short());
        if proposed.len() < TRANSFERS && proposed.iter().all(|other| other.get_value() != id) {
            let names = Escaped::new(&entry.names.join(", ")).to_string();
            proposed.push(CompletionCandidate::new(id).help(Some(names.into())));
        }
    }
    proposed
}

fn settings() -> Vec<CompletionCandidate> {
    let proposed = SETTINGS.iter().map(|setting| {
        CompletionCandidate::new(setting.key).help(Some(
            setting
                .about
                .lines()
                .next()
                .unwrap_or_default()
                .to_owned()
                .into(),
        ))
    });
    proposed.collect()
}

/// What the setting that was named can be, if that is one of a few words.
fn values() -> Vec<CompletionCandidate> {
    let words = words();
    let setting = index(&words)
        .checked_sub(1)
        .and_then(|before| words.get(before));
    let of = setting
        .and_then(|setting| setting.to_str())
        .unwrap_or_default();
    let setting = SETTINGS.iter().find(|setting| setting.key == of);
    let choices = setting.map_or(&[][..], |setting| setting.choices());
    choices.iter().map(CompletionCandidate::new).collect()
}
