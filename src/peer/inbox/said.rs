//! What is not as it was sent of a transfer that was opened: for the log, without names.

use crate::transfer::ReceivedFiles;

pub(super) fn warn_of_changes(manifest: &str, written: &ReceivedFiles) {
    let links = written.skipped_links.len();
    if links > 0 {
        tracing::warn!(manifest, links, "links that lead out were skipped");
    }
    let links = written.unmade_links.len();
    if links > 0 {
        tracing::warn!(
            manifest,
            links,
            "links were skipped: this file system has none"
        );
    }
    let entries = written.numbered.count;
    if entries > 0 {
        tracing::warn!(manifest, entries, "names that are one here were numbered");
    }
    let entries = written.renamed.count;
    if entries > 0 {
        tracing::warn!(manifest, entries, "names were changed");
    }
    let (times, executable) = (written.lost.times, written.lost.executable);
    if times || executable {
        tracing::warn!(
            manifest,
            times,
            executable,
            "this file system cannot keep these"
        );
    }
}
