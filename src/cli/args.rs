//! The command line, as clap parses it. The menu produces the same [`Command`] values.

mod examples;
mod keys;
mod manage;
mod more_examples;
mod offline;
mod person;
mod transfer;

use std::path::PathBuf;

use clap::{
    Args, ColorChoice, CommandFactory as _, FromArgMatches as _, Parser, Subcommand,
    builder::{OsStringValueParser, TypedValueParser as _},
};

use super::terminal;

pub(super) use manage::*;
pub(super) use offline::*;
pub(super) use person::*;
pub(super) use transfer::*;

/// Exchange files between machines that trust each other's certificates.
#[derive(Debug, Parser)]
#[command(name = "colis", version, about, propagate_version = true)]
#[command(
    after_help = "Exit codes: 0 ok, 2 usage, 3 config or format, 4 trust, 5 integrity, 6 not found, 7 storage,
8 network, 9 locked, 10 partly done, 11 needs care, 129, 130, 143 ended by a signal.
Without a command, on a terminal: a menu. See the whole tour in a minute: colis demo"
)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) command: Option<Command>,
}

impl Cli {
    /// What was typed. What is said of it has colours only where the terminal has them.
    pub(super) fn read() -> clap::error::Result<Self> {
        let colors = match terminal::knows_escapes() {
            true => ColorChoice::Auto,
            false => ColorChoice::Never,
        };
        let mut command = Self::command().color(colors);
        let matches = command.try_get_matches_from_mut(std::env::args_os())?;
        Self::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
    }
}

/// What every command takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub(super) struct Global {
    /// Folder with certs/, chunks/, received/ and colis.toml
    // An empty one is no mistake in the use of colis: it is said as every home that cannot be.
    #[arg(long, global = true, env = "COLIS_HOME", value_name = "DIR")]
    #[arg(value_parser = OsStringValueParser::new().map(PathBuf::from))]
    pub(super) home: Option<PathBuf>,
    /// One JSON object a line on standard output
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// Whole ids and UTC times for people too, and nothing shortened
    #[arg(long, global = true)]
    pub(super) full: bool,
    /// Show a long list at once, not page by page
    #[arg(long, global = true)]
    pub(super) no_pager: bool,
    /// Read the passphrase of the home's keys from this file
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        conflicts_with = "key_passphrase_fd"
    )]
    pub(super) key_passphrase_file: Option<PathBuf>,
    /// Read the passphrase of the home's keys from this file descriptor
    #[arg(long, global = true, value_name = "FD")]
    pub(super) key_passphrase_fd: Option<u32>,
    /// Say only errors and warnings
    #[arg(short, long, global = true)]
    pub(super) quiet: bool,
    /// Say more; twice for debugging
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(super) verbose: u8,
}

/// How far a command needs the settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Settings {
    /// They are not even read.
    Unneeded,
    /// If they cannot be used, it does its work with the defaults, and then says so.
    Wanted,
    /// Without them it does nothing.
    Needed,
}

/// One thing to do.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Serve this peer's store, and open what arrives for it
    #[command(after_help = examples::SERVE)]
    Serve(Serve),
    /// End the peer that serves this home
    #[command(after_help = examples::STOP)]
    Stop(Stop),
    /// Seal files and folders and store them with a peer
    #[command(after_help = examples::SEND)]
    Send(Send),
    /// Seal into the local store, for the members of the circle to fetch
    #[command(after_help = examples::SHARE)]
    Share(Share),
    /// Let others open a transfer that was sent before, without sending it again
    #[command(after_help = examples::GRANT)]
    Grant(Grant),
    /// Delete transfers here, or take back what was sent
    #[command(after_help = examples::DELETE)]
    Delete(Delete),
    /// Fetch transfers, open them, and write their files
    #[command(after_help = examples::RECEIVE)]
    Receive(Receive),
    /// Seal into a plain folder, for curl or a USB stick to carry
    #[command(after_help = examples::SEAL)]
    Seal(SealFolder),
    /// Verify and open such a folder
    #[command(after_help = examples::OPEN)]
    Open(OpenFolder),
    /// List transfers or chunks, here or at a peer
    #[command(after_help = examples::LIST)]
    List(List),
    /// The peers that this one knows
    #[command(after_help = examples::PEERS)]
    Peers(Peers),
    /// Let a new machine join the circle by a short code, or join one
    #[command(after_help = examples::PAIR)]
    Pair(Pair),
    /// Certificates of the circle and of this peer
    #[command(after_help = examples::CERTS)]
    Certs(Certs),
    /// Verify the local store, or that a peer still has what it stores
    #[command(after_help = examples::CHECK)]
    Check(Check),
    /// What waits for a yes, and what is arriving
    #[command(after_help = examples::INBOX)]
    Inbox(Inbox),
    /// What was sent and received
    #[command(after_help = examples::HISTORY)]
    History(History),
    /// The settings of this peer
    #[command(after_help = examples::CONFIG)]
    Config(Config),
    /// Collect what no transfer names any more, and what has expired
    #[command(after_help = more_examples::GC)]
    Gc(Gc),
    /// What this peer is, has and knows
    #[command(after_help = more_examples::STATUS)]
    Status(Status),
    /// Say which step fails, here or on the way to a peer, and what to do
    #[command(after_help = examples::DOCTOR)]
    Doctor(Doctor),
    /// Print the completions of a shell
    #[command(after_help = examples::COMPLETIONS)]
    Completions(Completions),
    /// Print the manual page, or write those of all commands
    #[command(after_help = examples::MAN)]
    Man(Man),
    /// The main job with two throwaway peers on this machine
    #[command(after_help = examples::DEMO)]
    Demo(Demo),
}

impl Command {
    /// Whether it does nothing but show what is there.
    pub(super) fn only_shows(&self) -> bool {
        matches!(self, Self::List(_) | Self::History(_))
    }

    /// How far it needs the settings.
    pub(super) fn settings(&self) -> Settings {
        let only_looks = match self {
            Self::Stop(_) => return Settings::Unneeded,
            // It looks at them itself.
            Self::Doctor(_) | Self::Status(_) | Self::History(_) => true,
            Self::List(args) => args.peer.is_none(),
            Self::Check(args) => args.peer.is_none() && !args.new_store,
            Self::Inbox(args) => matches!(args.command, None | Some(InboxCommand::List { .. })),
            Self::Certs(args) => matches!(args.command, CertsCommand::Show),
            Self::Peers(args) => args.works_without_settings(),
            _ => false,
        };
        match only_looks {
            true => Settings::Wanted,
            false => Settings::Needed,
        }
    }

    /// Whether others are served meanwhile, who must not wait for the reader of our lines. Nothing is asked in these.
    pub(super) fn serves(&self) -> bool {
        match self {
            Self::Serve(args) => !args.install,
            Self::Pair(args) => args.host.is_none(),
            Self::Demo(_) => true,
            _ => false,
        }
    }

    /// Whether it may be long at work, which [`super::interruptible`] ends.
    pub(super) fn transfers(&self) -> bool {
        matches!(
            self,
            Self::Send(_)
                | Self::Share(_)
                | Self::Grant(_)
                | Self::Receive(_)
                | Self::Inbox(Inbox {
                    command: Some(InboxCommand::Accept { .. } | InboxCommand::Refuse { .. })
                })
                | Self::Seal(_)
                | Self::Open(_)
        )
    }

    /// Whether it writes the content of a file to standard output.
    pub(super) fn gives_content(&self) -> bool {
        let out = match self {
            Self::Receive(args) => args.out.as_deref(),
            Self::Open(args) => args.out.as_deref(),
            Self::Inbox(Inbox {
                command: Some(InboxCommand::Accept { out, .. }),
            }) => out.as_deref(),
            _ => None,
        };
        out.is_some_and(|out| out.as_os_str() == "-")
    }
}
