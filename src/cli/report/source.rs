//! What was to be sent cannot be.

use super::Failure;
use crate::{manifest::MAX_CHUNK_SIZE, transfer::TransferError};

/// What failed, and what to do.
pub(super) fn failure(error: &TransferError) -> Failure {
    let failure = || Failure::of(error);
    let usage = |hint| failure().hint(hint);
    match error {
        TransferError::Source { path, source } => Failure::io(path, source),
        TransferError::DanglingLink { .. } => failure().hint(
            "is its disk there? A link inside of a folder is sent as a link: name the folder",
        ),
        TransferError::PrivateKey { .. } => {
            usage("another machine makes its own: colis pair; to send it all the same: --with-keys")
        }
        TransferError::BadGlob { .. } => usage("a glob is as in .gitignore: --exclude '*.o'"),
        TransferError::NothingNamed => usage("name a file or a folder"),
        TransferError::AllFiltered => usage("give a narrower glob, or leave out --git"),
        TransferError::DuplicateSource { .. } => usage("send them one by one, or rename one"),
        TransferError::UnsendableName { .. } => usage("rename it"),
        TransferError::TooDeep { .. } => {
            usage("send a folder further down, which has shorter paths")
        }
        TransferError::UnsupportedSource { .. } => failure()
            .hint("send what it gives instead: `- --name NAME < FILE` in the place of its path"),
        TransferError::NamelessSource { .. } => usage("send what is in it"),
        TransferError::NotAsSent { .. } => failure().hint(
            "nothing was given out; put the file back as it was, or send it anew: colis send",
        ),
        TransferError::SourceChanged { .. } => {
            failure().hint("nothing was published; send it again when it is quiet")
        }
        TransferError::TooManyChunks { chunk_size, .. } if *chunk_size < MAX_CHUNK_SIZE => {
            usage("a stream may have 65536 chunks: send it in larger ones, --chunk-size 64MiB")
        }
        TransferError::TooManyChunks { .. } => {
            usage("a transfer has at most 4 TiB: send it in several, split -b 1T")
        }
        TransferError::TooManyEntries { .. } => usage("send them in several transfers"),
        _ => failure(),
    }
}
