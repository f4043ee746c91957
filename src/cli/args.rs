//! The command line, as clap parses it. The menu will produce the same [`Command`] values.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::id::ManifestId;

/// Exchange files between machines that trust each other's certificates.
#[derive(Debug, Parser)]
#[command(
    name = "colis",
    version,
    about,
    arg_required_else_help = true,
    propagate_version = true
)]
#[command(
    after_help = "Exit codes: 0 ok, 2 usage, 3 config or format, 4 trust, 5 integrity, 6 not found, 7 storage,
8 network, 9 locked, 10 partly done, 130 interrupted.
See the whole tour in a minute: colis demo"
)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// What every command takes.
#[derive(Debug, Clone, Args)]
pub(super) struct Global {
    /// Folder with certs/, chunks/, received/ and colis.toml
    #[arg(long, global = true, env = "COLIS_HOME", value_name = "DIR")]
    pub(super) home: Option<PathBuf>,
    /// One JSON object a line on standard output
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// Say only errors
    #[arg(short, long, global = true)]
    pub(super) quiet: bool,
    /// Say more; twice for debugging
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(super) verbose: u8,
}

/// One thing to do.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Serve this peer's store, and open what arrives for it
    Serve(Serve),
    /// Seal files and folders and store them with a peer
    Send(Send),
    /// Seal into the local store, for the members of the circle to fetch
    Share(Share),
    /// Fetch transfers, open them, and write their files
    Receive(Receive),
    /// List transfers or chunks, here or at a peer
    List(List),
    /// The peers that this one knows
    Peers(Peers),
    /// Certificates of the circle and of this peer
    Certs(Certs),
    /// Verify the local store
    Check(Check),
    /// Collect what no transfer names any more, and what has expired
    Gc,
    /// What this peer is, has and knows
    Status,
    /// The main job with two throwaway peers on this machine
    Demo(Demo),
}

#[derive(Debug, Args)]
pub(super) struct Serve {
    /// Address to listen on [default: 0.0.0.0:8443]
    #[arg(long, value_name = "ADDRESS", env = "COLIS_LISTEN")]
    pub(super) listen: Option<SocketAddr>,
    /// What to do with what arrives for this peer [default: auto]
    #[arg(long, value_enum, env = "COLIS_INBOX")]
    pub(super) inbox: Option<InboxArg>,
    /// For how long sealed chunks stay after a transfer was opened, as 1d, 12h or 0 [default: 1d]
    #[arg(long, value_name = "DURATION")]
    pub(super) keep_opened: Option<String>,
    /// Let opened programs keep their executable bit
    #[arg(long)]
    pub(super) keep_exec: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum InboxArg {
    /// Open it into received/ on arrival
    Auto,
    /// Leave it sealed until `colis receive`
    Off,
}

/// How to seal: shared by `send` and `share`.
#[derive(Debug, Args)]
pub(super) struct Seal {
    /// Files and folders; `-` for standard input
    #[arg(required = true, value_name = "PATH")]
    pub(super) paths: Vec<PathBuf>,
    /// Name of the file that standard input becomes
    #[arg(long, value_name = "NAME", default_value = "stdin")]
    pub(super) name: String,
    /// Bytes of a chunk, 64KiB to 64MiB, a power of two [default: 1MiB]
    #[arg(long, value_name = "SIZE")]
    pub(super) chunk_size: Option<String>,
    /// For how long stores keep it, as 30d or 12h; `never` for ever
    #[arg(long, value_name = "DURATION")]
    pub(super) expires: Option<String>,
    /// Let a password open it too: asked for, or from one of the two flags below
    #[arg(long)]
    pub(super) password: bool,
    #[command(flatten)]
    pub(super) secret: Secret,
}

/// Where a password comes from. Never from the command line itself.
#[derive(Debug, Args)]
pub(super) struct Secret {
    /// Read the password from this file
    #[arg(long, value_name = "FILE", conflicts_with = "password_fd")]
    pub(super) password_file: Option<PathBuf>,
    /// Read the password from this file descriptor
    #[arg(long, value_name = "FD")]
    pub(super) password_fd: Option<u32>,
}

#[derive(Debug, Args)]
pub(super) struct Send {
    #[command(flatten)]
    pub(super) seal: Seal,
    #[arg(help = "Who can open it, and stores it: names, host, host:port or [v6]:port")]
    #[arg(long, value_name = "PEER", value_delimiter = ',')]
    pub(super) to: Vec<String>,
    /// Who stores it instead of the recipients, without being able to open it
    #[arg(long, value_name = "PEER", value_delimiter = ',')]
    pub(super) via: Vec<String>,
    /// Keep the sealed transfer in the local store too
    #[arg(long)]
    pub(super) keep: bool,
    /// Wait until the recipient has opened it
    #[arg(long)]
    pub(super) wait: bool,
    /// Chunks in flight [default: 4]
    #[arg(long, value_name = "N")]
    pub(super) jobs: Option<usize>,
}

#[derive(Debug, Args)]
pub(super) struct Share {
    #[command(flatten)]
    pub(super) seal: Seal,
    /// Who can open it [default: every known peer]
    #[arg(long, value_name = "PEER", value_delimiter = ',')]
    pub(super) to: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct Receive {
    /// Manifest ids (or their beginnings), or names of files in the transfers
    #[arg(value_name = "ID|NAME")]
    pub(super) which: Vec<String>,
    /// Where from [default: the local store]
    #[arg(long, value_name = "PEER")]
    pub(super) from: Option<String>,
    /// Everything that we can open
    #[arg(long, conflicts_with = "which")]
    pub(super) all: bool,
    /// Folder to write into, or `-` for standard output [default: received/ in the home folder]
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
    /// Keep the executable bit
    #[arg(long)]
    pub(super) keep_exec: bool,
    #[command(flatten)]
    pub(super) secret: Secret,
    /// Chunks in flight [default: 4]
    #[arg(long, value_name = "N")]
    pub(super) jobs: Option<usize>,
}

#[derive(Debug, Args)]
pub(super) struct List {
    /// Whose [default: ours]
    #[arg(value_name = "PEER")]
    pub(super) peer: Option<String>,
    /// Chunks instead of transfers
    #[arg(long)]
    pub(super) chunks: bool,
}

#[derive(Debug, Args)]
pub(super) struct Peers {
    #[command(subcommand)]
    pub(super) command: Option<PeersCommand>,
}

#[derive(Debug, Subcommand)]
pub(super) enum PeersCommand {
    /// List them
    List,
    /// Ask the peer at an address who it is, and remember it
    Add {
        #[arg(help = "host, host:port or [v6]:port")]
        address: String,
    },
    /// Connect and say what answers
    Check {
        /// Name or address
        peer: String,
    },
    /// Forget a peer
    Forget {
        /// Its name
        name: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct Certs {
    #[command(subcommand)]
    pub(super) command: CertsCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum CertsCommand {
    /// Make a circle, and this peer its first member
    Init {
        /// This peer's name
        #[arg(long)]
        name: String,
        /// Further host names or addresses for the certificate
        #[arg(long, value_name = "HOST", value_delimiter = ',')]
        san: Vec<String>,
    },
    /// Make the certs/ folder of another machine
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
    /// Show this peer's certificates, and on the circle's machine all that were issued
    Show,
    /// Revoke every certificate of a peer
    Revoke {
        /// Its name
        name: String,
    },
    /// Renew this peer's certificate; it stays the same peer
    Renew {
        /// The peer that holds the circle's key [default: this one]
        #[arg(long, value_name = "PEER")]
        from: Option<String>,
    },
}

#[derive(Debug, Args)]
pub(super) struct Check {
    /// Read and hash every chunk
    #[arg(long)]
    pub(super) read_data: bool,
}

#[derive(Debug, Args)]
pub(super) struct Demo {
    /// Bytes of the demonstration's file
    #[arg(long, value_name = "SIZE", default_value = "64MiB")]
    pub(super) size: String,
    /// Keep the demonstration's folder, and say where it is
    #[arg(long)]
    pub(super) keep: bool,
}

/// A manifest as people name it: an id, the beginning of one, or a file name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Which {
    /// A whole id.
    Id(ManifestId),
    /// The beginning of an id, or a name.
    Text(String),
}

impl Which {
    pub(super) fn new(text: &str) -> Self {
        text.parse()
            .map_or_else(|_| Self::Text(text.to_owned()), Self::Id)
    }

    /// Whether `id` is, or begins with, what was typed.
    pub(super) fn matches(&self, id: ManifestId) -> bool {
        match self {
            Self::Id(wanted) => *wanted == id,
            Self::Text(text) => text.len() >= 4 && id.to_string().starts_with(text),
        }
    }
}
