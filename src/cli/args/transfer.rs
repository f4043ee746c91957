//! What moves files: `send`, `share`, `receive`, `list`.

use std::path::PathBuf;

use clap::{ArgGroup, Args};

/// What is said again by what `--resume` goes on with.
const NOT_WITH_RESUME: [&str; 13] = [
    "paths",
    "text",
    "to",
    "via",
    "keep",
    "exclude",
    "git",
    "with_keys",
    "name",
    "chunk_size",
    "expires",
    "dry_run",
    "drop",
];
const NOT_WITH_DROP: [&str; 7] = ["paths", "text", "to", "via", "wait", "dry_run", "resume"];

use crate::crypto::password::Password;

/// How to seal: shared by `send` and `share`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Seal {
    /// Files and folders; `-` for standard input
    #[arg(value_name = "PATH")]
    pub(in crate::cli) paths: Vec<PathBuf>,
    /// A message instead of files, shown on arrival. Others on this machine see the command line: `-` reads it from standard input
    #[arg(long, value_name = "TEXT", conflicts_with = "paths")]
    pub(in crate::cli) text: Option<String>,
    /// Leave out what matches, as in .gitignore; may be repeated
    #[arg(long, value_name = "GLOB")]
    pub(in crate::cli) exclude: Vec<String>,
    /// Leave out what git ignores, and .git itself
    #[arg(long)]
    pub(in crate::cli) git: bool,
    /// Send private keys of colis too, which are left out else: whoever has them can be their owner
    #[arg(long)]
    pub(in crate::cli) with_keys: bool,
    /// Name of the file that standard input becomes
    #[arg(long, value_name = "NAME", default_value = "stdin")]
    pub(in crate::cli) name: String,
    /// Bytes of a chunk, 64KiB to 64MiB, a power of two [default: 1MiB, for a stream 4MiB]. A transfer has 65,536 at most: a
    /// stream in the largest 4 TiB, by default 256 GiB; for files chunks grow by themselves
    #[arg(long, value_name = "SIZE")]
    pub(in crate::cli) chunk_size: Option<String>,
    /// For how long stores keep it, as 30d or 12h; `never` for ever
    #[arg(long, value_name = "DURATION")]
    pub(in crate::cli) expires: Option<String>,
    /// Let a password open it too: asked for, or from one of the two flags below
    #[arg(long)]
    pub(in crate::cli) password: bool,
    #[command(flatten)]
    pub(in crate::cli) secret: Secret,
}

/// Where a password comes from. Never from the command line itself.
#[derive(Debug, Args)]
pub(in crate::cli) struct Secret {
    /// Read the password from this file
    #[arg(long, value_name = "FILE", conflicts_with = "password_fd")]
    pub(in crate::cli) password_file: Option<PathBuf>,
    /// Read the password from this file descriptor
    #[arg(long, value_name = "FD")]
    pub(in crate::cli) password_fd: Option<u32>,
    /// One that was asked for before.
    #[arg(skip)]
    pub(in crate::cli) known: Option<Password>,
}

impl Secret {
    /// Asked for.
    pub(in crate::cli) fn asked() -> Self {
        Self {
            password_file: None,
            password_fd: None,
            known: None,
        }
    }
}

#[derive(Debug, Args)]
#[command(
    override_usage = "colis send [OPTIONS] --to <PEER> <PATH>...\n       colis send --resume <ID>|all\n       colis send --drop <ID>|all"
)]
#[command(group(ArgGroup::new("what").args(["paths", "text", "resume", "drop"]).required(true).multiple(true)))]
pub(in crate::cli) struct Send {
    #[arg(help = "Who can open it, and stores it: names, host:port or [v6]:port")]
    #[arg(long, value_name = "PEER", value_delimiter = ',')]
    pub(in crate::cli) to: Vec<String>,
    #[command(flatten)]
    pub(in crate::cli) seal: Seal,
    /// Who stores it instead of the recipients, without being able to open it
    #[arg(long, value_name = "PEER", value_delimiter = ',')]
    pub(in crate::cli) via: Vec<String>,
    /// Keep the sealed transfer in the local store too
    #[arg(long)]
    pub(in crate::cli) keep: bool,
    /// Go on with sends that were not finished: ids of transfers or their beginnings, names of files, or all
    #[arg(long, value_name = "ID", value_delimiter = ',', conflicts_with_all = NOT_WITH_RESUME)]
    pub(in crate::cli) resume: Vec<String>,
    /// Forget sends that were not finished
    #[arg(long, value_name = "ID", value_delimiter = ',', conflicts_with_all = NOT_WITH_DROP)]
    pub(in crate::cli) drop: Vec<String>,
    /// Say what would be sent, and to whom; send nothing
    #[arg(long)]
    pub(in crate::cli) dry_run: bool,
    /// Wait until the recipient has opened it
    #[arg(long)]
    pub(in crate::cli) wait: bool,
    /// Chunks in flight, 1 to 64 [default: 4]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(in crate::cli) jobs: Option<u8>,
    /// Bytes a second at most, as 10MiB
    #[arg(long, value_name = "RATE")]
    pub(in crate::cli) limit: Option<String>,
    #[command(flatten)]
    pub(in crate::cli) patience: Patience,
}

/// For how long a peer is waited for that does not answer.
#[derive(Debug, Args)]
pub(in crate::cli) struct Patience {
    /// For how long a peer is tried again that does not answer, as 60s or 5m; 0 not at all [default: 60s once a transfer has begun
    /// with one peer. If given, it counts for each, and from the first try on]
    #[arg(long, value_name = "DURATION")]
    pub(in crate::cli) retry_for: Option<String>,
}

#[derive(Debug, Args)]
#[command(override_usage = "colis share [OPTIONS] <PATH>...")]
#[command(group(ArgGroup::new("shared").args(["paths", "text"]).required(true)))]
pub(in crate::cli) struct Share {
    #[command(flatten)]
    pub(in crate::cli) seal: Seal,
    /// Who can open it [default: every known peer]
    #[arg(long, value_name = "PEER", value_delimiter = ',')]
    pub(in crate::cli) to: Vec<String>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Grant {
    /// The transfer: its manifest id, or the beginning of it, or a file in it
    #[arg(value_name = "ID|NAME")]
    pub(in crate::cli) which: String,
    /// Who can open it from now on
    #[arg(long, value_name = "PEER", value_delimiter = ',', required = true)]
    pub(in crate::cli) to: Vec<String>,
    /// Who stores it [default: the local store]
    #[arg(long, value_name = "PEER")]
    pub(in crate::cli) at: Option<String>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Delete {
    /// The transfers: ids or their beginnings, or files in them
    #[arg(value_name = "ID|NAME", required = true)]
    pub(in crate::cli) which: Vec<String>,
    /// The peer that stores what we sent: it is taken back from there [default: the local store]
    #[arg(long, value_name = "PEER")]
    pub(in crate::cli) at: Option<String>,
    /// Say what would be deleted, and delete nothing
    #[arg(long)]
    pub(in crate::cli) dry_run: bool,
    /// Do not ask
    #[arg(long)]
    pub(in crate::cli) yes: bool,
}

#[derive(Debug, Args)]
#[command(override_usage = "colis receive [OPTIONS] [--from <PEER>] <--all | ID | NAME>...")]
pub(in crate::cli) struct Receive {
    /// Manifest ids (or their beginnings), or names of files in the transfers
    #[arg(value_name = "ID|NAME")]
    pub(in crate::cli) which: Vec<String>,
    /// Where from; several are read at once [default: the local store, then the known peers that answer]
    #[arg(long, value_name = "PEER", value_delimiter = ',')]
    pub(in crate::cli) from: Vec<String>,
    /// Everything that is new for us, the oldest first: not opened or refused here before, not sent by us to others
    #[arg(long, conflicts_with = "which")]
    pub(in crate::cli) all: bool,
    /// All of it, with what was opened or refused here before
    #[arg(long, conflicts_with = "which")]
    pub(in crate::cli) again: bool,
    /// All of it, with what we sent to others
    #[arg(long, conflicts_with = "which")]
    pub(in crate::cli) mine: bool,
    /// Folder to write into, or `-` for standard output [default: the setting `received`]
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) out: Option<PathBuf>,
    /// Keep the executable bit
    #[arg(long)]
    pub(in crate::cli) keep_exec: bool,
    #[command(flatten)]
    pub(in crate::cli) secret: Secret,
    /// Chunks in flight, 1 to 64 [default: 4]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(in crate::cli) jobs: Option<u8>,
    /// Bytes a second at most, as 10MiB
    #[arg(long, value_name = "RATE")]
    pub(in crate::cli) limit: Option<String>,
    #[command(flatten)]
    pub(in crate::cli) patience: Patience,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct List {
    /// Whose [default: ours]
    #[arg(value_name = "PEER")]
    pub(in crate::cli) peer: Option<String>,
    /// Chunks instead of transfers
    #[arg(long)]
    pub(in crate::cli) chunks: bool,
}
