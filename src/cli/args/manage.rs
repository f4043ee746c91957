//! What looks after a peer: `serve`, `peers`, `pair`, `certs`, `check`, `doctor`, `demo`.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Subcommand, ValueEnum};

use super::more_examples as examples;
use crate::{
    address::parse_listen,
    config::InboxSetting,
    session::service::{self, UnitError},
    trust::{Right, Role},
};

#[derive(Debug, Clone, Default, Args)]
pub(in crate::cli) struct Serve {
    #[arg(
        long,
        value_name = "ADDRESS",
        value_parser = parse_listen,
        help = "Address to listen on, as 192.0.2.7:9443; a port alone means all addresses [default: [::]:8443]"
    )]
    pub(in crate::cli) listen: Option<SocketAddr>,
    /// What to do with what arrives for this peer [default: auto]
    #[arg(long, value_enum)]
    pub(in crate::cli) inbox: Option<InboxArg>,
    /// Folder where received files appear [default: as `colis status` says]
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) received: Option<PathBuf>,
    /// With the inbox `auto`: what is larger waits for a yes
    #[arg(long, value_name = "SIZE")]
    pub(in crate::cli) auto_up_to: Option<String>,
    /// For how long a transfer stays sealed here after it was opened, as 1d, 12h or 0 [default: 0 for what is for this peer alone, else 1d]
    #[arg(long, value_name = "DURATION")]
    pub(in crate::cli) keep_opened: Option<String>,
    /// Write a systemd unit that serves this home for this user, and say how to start it
    #[arg(long)]
    pub(in crate::cli) install: bool,
    /// With --install: print a unit for the whole system, which serves as the account that owns the home
    #[arg(long, requires = "install")]
    pub(in crate::cli) system: bool,
    /// The unit's name
    #[arg(long, value_name = "NAME", default_value = "colis", value_parser = unit_name)]
    pub(in crate::cli) unit: String,
    /// Remove the unit that --install wrote for this home
    #[arg(long, conflicts_with_all = ["install", "system"])]
    pub(in crate::cli) uninstall: bool,
    /// Let opened programs keep their executable bit
    #[arg(long)]
    pub(in crate::cli) keep_exec: bool,
}

fn unit_name(text: &str) -> Result<String, UnitError> {
    service::check_name(text).map(|()| text.to_owned())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum InboxArg {
    /// Open it on arrival
    Auto,
    /// Wait for `colis inbox accept`
    Ask,
    /// Leave it sealed until `colis receive`
    Off,
}

impl InboxArg {
    /// The setting of the same name.
    pub(in crate::cli) fn setting(self) -> InboxSetting {
        match self {
            Self::Auto => InboxSetting::Auto,
            Self::Ask => InboxSetting::Ask,
            Self::Off => InboxSetting::Off,
        }
    }
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(in crate::cli) struct Peers {
    /// Look around in this network too: who is there and not known, and who of the known answers
    #[arg(long)]
    pub(in crate::cli) seen: bool,
    #[command(subcommand)]
    pub(in crate::cli) command: Option<PeersCommand>,
}

impl Peers {
    /// Whether it needs no settings: what is known is shown, and nothing keeps a peer from being shut out.
    pub(super) fn works_without_settings(&self) -> bool {
        use PeersCommand::{Add, Check};
        !self.seen && !matches!(self.command, Some(Add { .. } | Check { .. }))
    }
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum PeersCommand {
    /// List them
    #[command(after_help = examples::PEERS_LIST)]
    List,
    /// Ask the peer at an address who it is, and remember it
    #[command(after_help = examples::PEERS_ADD)]
    Add {
        #[arg(help = "host, host:port or [v6]:port")]
        address: String,
    },
    /// Connect and say what answers
    #[command(after_help = examples::PEERS_CHECK)]
    Check {
        /// Name or address
        peer: String,
    },
    /// Call a peer otherwise on this machine; by its certificate's name again to take that back
    #[command(after_help = examples::PEERS_RENAME)]
    Rename {
        /// What it is called now
        #[arg(value_name = "PEER")]
        old: String,
        /// What to call it
        new: String,
    },
    /// Say what a peer may do with the store of this one
    #[command(after_help = examples::PEERS_ROLE)]
    Role {
        /// Its name, or its id
        peer: String,
        /// What it may do
        #[arg(value_enum)]
        role: RoleArg,
        /// Only for its scripts, which otherwise may do what it may
        #[arg(long)]
        script: bool,
    },
    /// Let a peer do nothing here any more, within a second: its role becomes `none`. `peers role NAME member` lets it in again
    #[command(after_help = examples::PEERS_BLOCK)]
    Block {
        /// Its name, or its id
        peer: String,
    },
    /// Let a peer in, or give it a right for routes of one's own that ask for it
    #[command(after_help = examples::PEERS_ALLOW)]
    Allow {
        /// Its name, or its id
        peer: String,
        /// Two words, as bank:atm [default: the role of a member, also after `block`, and where an outside authority signs]
        right: Option<Right>,
    },
    /// Take a right away from a peer
    #[command(after_help = examples::PEERS_DENY)]
    Deny {
        /// Its name, or its id
        peer: String,
        /// Two words, as bank:atm
        right: Right,
    },
    /// Forget a peer; its role and its rights stay
    #[command(after_help = examples::PEERS_FORGET)]
    Forget {
        /// Its name
        #[arg(value_name = "PEER")]
        name: String,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum RoleArg {
    /// Everything that is not for the owner alone
    Member,
    /// Put, and see its own
    Sender,
    /// See what is addressed to it
    Reader,
    /// Read health and metrics in full, and see nothing of the store
    Monitor,
    /// Nothing: it is not let in
    None,
}

impl RoleArg {
    /// The role of the same name.
    pub(in crate::cli) fn role(self) -> Role {
        match self {
            Self::Member => Role::Member,
            Self::Sender => Role::Sender,
            Self::Reader => Role::Reader,
            Self::Monitor => Role::Monitor,
            Self::None => Role::None,
        }
    }
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Pair {
    #[arg(
        help = "Join: the machine that shows the code, by its name, host, host:port or [v6]:port"
    )]
    pub(in crate::cli) host: Option<String>,
    /// What this machine is to be called, if it is new [default: its host name]
    #[arg(long)]
    pub(in crate::cli) name: Option<String>,
    /// Read the code from this file, or from standard input if it is `-`; never from the command line
    #[arg(long, value_name = "FILE", requires = "host")]
    pub(in crate::cli) code_file: Option<PathBuf>,
    /// Port to listen on while a code is shown [default: 8444, or a free one]
    #[arg(long, conflicts_with = "host")]
    pub(in crate::cli) port: Option<u16>,
    /// Go on to serve once the machines are paired, without a question
    #[arg(long)]
    pub(in crate::cli) serve: bool,
    #[arg(
        long,
        value_name = "ADDRESS",
        value_parser = parse_listen,
        help = "Address that this machine will serve on, which the other one is told [default: that of colis.toml, or [::]:8443]"
    )]
    pub(in crate::cli) listen: Option<SocketAddr>,
    /// For how long the code counts, for tests that cannot wait
    #[arg(long, value_name = "DURATION", conflicts_with = "host", hide = true)]
    pub(in crate::cli) life: Option<String>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Certs {
    #[command(subcommand)]
    pub(in crate::cli) command: CertsCommand,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum CertsCommand {
    /// Make a circle, and this peer its first member
    #[command(after_help = examples::CERTS_INIT)]
    Init {
        /// This peer's name
        #[arg(long)]
        name: String,
        /// Further host names or addresses for the certificate
        #[arg(long, value_name = "HOST", value_delimiter = ',')]
        san: Vec<String>,
    },
    /// Make the certs/ folder of another machine
    #[command(after_help = examples::CERTS_ISSUE)]
    Issue {
        /// That peer's name
        name: String,
        /// Where to put it
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// Further host names or addresses for the certificate
        #[arg(long, value_name = "HOST", value_delimiter = ',')]
        san: Vec<String>,
    },
    /// Take over the folder that `issue` made for this machine, or the files of an outside authority
    #[command(after_help = examples::CERTS_IMPORT)]
    Import {
        /// Where the folder is
        folder: Option<PathBuf>,
        #[command(flatten)]
        outside: Outside,
    },
    /// Show this peer's certificates, and on the circle's machine all that were issued
    #[command(after_help = examples::CERTS_SHOW)]
    Show,
    /// Revoke every certificate of a peer
    #[command(after_help = examples::CERTS_REVOKE)]
    Revoke {
        /// Its name, its peer id, the first eight digits of that, or a file with its certificate
        #[arg(value_name = "PEER")]
        name: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// A passphrase on this home's keys; that of scripts stays as it is, for curl
    #[command(subcommand, after_help = examples::CERTS_PASSPHRASE)]
    Passphrase(PassphraseCommand),
    /// Leave the circle: its keys and certificates move aside into left/, where nothing is lost
    #[command(after_help = examples::CERTS_LEAVE)]
    Leave {
        /// On the circle's machine: end the circle, also while others are in it. Without a terminal, with the name of this machine
        #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = "")]
        end_circle: Option<String>,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Renew the circle's own certificate, on the machine that made it: same name and key, ten more years
    #[command(after_help = examples::CERTS_RENEW_CIRCLE)]
    RenewCircle,
    /// Renew this peer's certificate; it stays the same peer
    #[command(after_help = examples::CERTS_RENEW)]
    Renew {
        /// The peer that holds the circle's key [default: this one, or the one that made the circle]
        #[arg(long, value_name = "PEER")]
        from: Option<String>,
        /// The certificate of curl and scripts instead
        #[arg(long)]
        script: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum PassphraseCommand {
    /// Set it, or change it. If it is lost, the keys are
    #[command(after_help = examples::CERTS_PASSPHRASE_SET)]
    Set {
        /// Read the new passphrase from this file [default: asked for, twice]
        #[arg(long, value_name = "FILE")]
        new_file: Option<PathBuf>,
    },
    /// Take it off the keys
    #[command(after_help = examples::CERTS_PASSPHRASE_REMOVE)]
    Remove,
}

/// The files of an outside authority.
#[derive(Debug, Args)]
#[group(multiple = true, conflicts_with = "folder")]
pub(in crate::cli) struct Outside {
    /// Of an outside authority: its root and intermediate certificates, PEM in any order
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) ca: Option<PathBuf>,
    /// Its certificate for this peer; later, a renewed one for the same key
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) cert: Option<PathBuf>,
    /// The key for that, ECDSA P-256 in PKCS#8
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub(in crate::cli) key: Option<PathBuf>,
    /// Its revocation lists, one of each authority of the chain
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) crl: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(override_usage = "colis check [OPTIONS] [<PEER> <TRANSFER>]")]
pub(in crate::cli) struct Check {
    /// A peer that stores a transfer of which we have the chunks too [default: the local store]
    #[arg(requires = "transfer", conflicts_with = "read_data")]
    pub(in crate::cli) peer: Option<String>,
    /// The transfer that it is to have every byte of: an id or the beginning of one, or a file in it
    #[arg(value_name = "ID|NAME")]
    pub(in crate::cli) transfer: Option<String>,
    /// Read and hash every chunk
    #[arg(long)]
    pub(in crate::cli) read_data: bool,
    /// Begin with the store that is there, or with a new one: the one that this home had is lost
    #[arg(long, conflicts_with = "peer")]
    pub(in crate::cli) new_store: bool,
    /// Ask the peer for so many chunks, chosen at random [default: all]
    #[arg(long, value_name = "N", requires = "peer", value_parser = clap::value_parser!(u32).range(1..))]
    pub(in crate::cli) sample: Option<u32>,
    /// Put back what the peer lacks
    #[arg(long, requires = "peer")]
    pub(in crate::cli) repair: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Status {
    /// That this home is not served needs care too (exit code 11)
    #[arg(long)]
    pub(in crate::cli) serving: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Doctor {
    /// Name or address of a peer; without it, only this machine is looked at
    pub(in crate::cli) peer: Option<String>,
    #[arg(
        long,
        value_name = "ADDRESS",
        value_parser = parse_listen,
        help = "Address that `serve` is to listen on [default: that of colis.toml, or [::]:8443]"
    )]
    pub(in crate::cli) listen: Option<SocketAddr>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Demo {
    /// Bytes of the demonstration's file, 8MiB at least
    #[arg(long, value_name = "SIZE", default_value = "64MiB")]
    pub(in crate::cli) size: String,
    /// Keep the demonstration's folder, and say where it is
    #[arg(long)]
    pub(in crate::cli) keep: bool,
}

/// `stop`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Stop {}

/// `gc`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Gc {
    /// Free what came of unfinished transfers at once, too, not only a day after it came; their senders begin anew
    #[arg(long)]
    pub(in crate::cli) unfinished: bool,
}
