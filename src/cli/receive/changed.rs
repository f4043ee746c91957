//! What of a received transfer is not as it was sent.

use crate::{cli::output::Output, name::Escaped, received::NewNames, transfer::ReceivedFiles};

/// What the file system there could not keep.
pub(super) fn say_losses(output: Output, received: &ReceivedFiles) {
    for link in &received.unmade_links {
        let link = Escaped::new(link);
        output.warn(format!(
            "skipped the link {link}: this file system has no links"
        ));
    }
    if received.lost.times {
        output.warn("this file system lets no times be set: files are dated when they came");
    }
    if received.lost.executable {
        output.warn("this file system lets no modes be set: nothing is executable by --keep-exec");
    }
}

/// Which entries do not have the names that they were sent with, and why.
pub(super) fn say_new_names(output: Output, names: &NewNames, why: &str) {
    for (from, to) in &names.first {
        let (from, to) = (Escaped::new(from), Escaped::new(to));
        output.warn(format!("{from} is called {to} here: {why}"));
    }
    let more = names.count - names.first.len();
    if more > 0 {
        output.warn(format!("{more} more entries have new names: {why}"));
    }
}
