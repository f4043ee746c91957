//! What a person looks at and decides: `inbox`, `history`, `config`, and what a shell needs.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use clap_complete::Shell;

use super::{Secret, more_examples as examples};
use crate::crypto::password::Password;

#[derive(Debug, Args)]
pub(in crate::cli) struct Inbox {
    #[command(subcommand)]
    pub(in crate::cli) command: Option<InboxCommand>,
}

impl Inbox {
    /// With a password that was asked for before.
    pub(in crate::cli) fn knowing(mut self, password: Option<Password>) -> Self {
        if let Some(InboxCommand::Accept { secret, .. }) = &mut self.command {
            secret.known = password;
        }
        self
    }
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum InboxCommand {
    /// List what waits, with what is in it, and what is arriving
    #[command(after_help = examples::INBOX_LIST)]
    List {
        /// Ids or their beginnings, or names of files in them: these with every entry
        #[arg(value_name = "ID|NAME")]
        ids: Vec<String>,
    },
    /// Open into received/
    #[command(after_help = examples::INBOX_ACCEPT)]
    #[command(override_usage = "colis inbox accept [OPTIONS] <--all | ID | NAME>...")]
    Accept {
        /// Ids or their beginnings, or names of files in them
        #[arg(value_name = "ID|NAME", required_unless_present = "all")]
        ids: Vec<String>,
        /// Everything that waits and needs no password
        #[arg(long, conflicts_with = "ids")]
        all: bool,
        /// Folder to write into [default: received/ in the home folder]
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
        #[command(flatten)]
        secret: Secret,
    },
    /// Refuse; the sender is told, and the sealed bytes go when keep_refused is over: until then it can be accepted after all
    #[command(after_help = examples::INBOX_REFUSE)]
    #[command(
        override_usage = "colis inbox refuse [OPTIONS] <--all | --from <PEER> | ID | NAME>..."
    )]
    Refuse {
        /// Ids or their beginnings, or names of files in them
        #[arg(value_name = "ID|NAME", required_unless_present_any = ["all", "from"])]
        ids: Vec<String>,
        /// Everything that waits
        #[arg(long, conflicts_with_all = ["ids", "from"])]
        all: bool,
        /// Everything that waits from this peer
        #[arg(long, value_name = "PEER", conflicts_with = "ids")]
        from: Option<String>,
    },
    /// End a transfer that is arriving: no more of it is taken, what came of it goes, and its sender is told
    #[command(visible_alias = "cancel", after_help = examples::INBOX_STOP)]
    Stop {
        /// Transfer ids or their beginnings, or names of files in them
        #[arg(value_name = "ID|NAME", required = true)]
        ids: Vec<String>,
        /// Only what this peer has signed: another's transfer may have the same id
        #[arg(long, value_name = "PEER")]
        from: Option<String>,
    },
}

#[derive(Debug, Args)]
pub(in crate::cli) struct History {
    /// The last so many
    #[arg(short, long, value_name = "N", default_value_t = 50)]
    pub(in crate::cli) number: usize,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Config {
    #[command(subcommand)]
    pub(in crate::cli) command: Option<ConfigCommand>,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum ConfigCommand {
    /// Every setting with its value and where that comes from
    #[command(after_help = examples::CONFIG_SHOW)]
    Show,
    /// Write colis.toml with every setting as a comment
    #[command(after_help = examples::CONFIG_INIT)]
    Init,
    /// Change one setting in colis.toml and keep the rest
    #[command(after_help = examples::CONFIG_SET)]
    Set {
        /// Its name, as in `config show`
        #[arg(value_name = "SETTING")]
        key: String,
        /// Its value
        value: String,
    },
    /// Take one setting out of colis.toml, so that its default holds, and keep the rest
    #[command(after_help = examples::CONFIG_UNSET)]
    Unset {
        /// Its name, as in `config show`
        #[arg(value_name = "SETTING")]
        key: String,
    },
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Completions {
    /// For which shell
    pub(in crate::cli) shell: Shell,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Man {
    /// The command whose page it is, for example `pair` or `peers add` [default: colis itself]
    #[arg(value_name = "COMMAND", conflicts_with = "out")]
    pub(in crate::cli) command: Vec<String>,
    /// Write a page for each command into this folder
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) out: Option<PathBuf>,
}
