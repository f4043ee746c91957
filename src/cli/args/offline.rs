//! What needs no peer at hand: `seal`, `open`.

use std::path::PathBuf;

use clap::{ArgGroup, Args};

use super::{Seal, Secret};

#[derive(Debug, Args)]
#[command(override_usage = "colis seal [OPTIONS] --to <PEER> --out <DIR> <PATH>...")]
#[command(group(ArgGroup::new("sealed").args(["paths", "text"]).required(true)))]
pub(in crate::cli) struct SealFolder {
    #[command(flatten)]
    pub(in crate::cli) seal: Seal,
    #[arg(help = "Folder for the sealed files: a new one, an empty one, or one to continue")]
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) out: PathBuf,
    /// Who can open it: names of the address book
    #[arg(long, value_name = "PEER", value_delimiter = ',')]
    pub(in crate::cli) to: Vec<String>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct OpenFolder {
    /// Folder with chunks/ and manifests/, made by `seal` or downloaded
    #[arg(value_name = "DIR")]
    pub(in crate::cli) folder: PathBuf,
    /// Folder to write into, or `-` for standard output [default: received/ in the home folder]
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) out: Option<PathBuf>,
    /// Keep the executable bit
    #[arg(long)]
    pub(in crate::cli) keep_exec: bool,
    #[command(flatten)]
    pub(in crate::cli) secret: Secret,
    /// Chunks opened at once, 1 to 64 [default: 4]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(in crate::cli) jobs: Option<u8>,
}
