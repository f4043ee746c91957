//! `history`: what was sent and received.

use super::{
    Context, args,
    report::{ExitCode, Failure},
    show::table::Listing,
};
use crate::{
    config::units::count,
    peer::{History, ReadHistory},
    session::{self, Event},
};

pub(super) fn run(context: &Context, args: &args::History) -> Result<ExitCode, Failure> {
    let ReadHistory {
        mut entries,
        unread,
    } = session::read_history(&context.home)?;
    if entries.is_empty() {
        context.output.talk("nothing was sent or received yet");
    }
    if unread > 0 {
        let history = History::new(&context.home.chunks());
        let lines = count(unread, "line", "lines");
        context.output.warn(format!(
            "{lines} of {} cannot be read, and what they told is not shown: damaged, or of a newer colis",
            history.path().display()
        ));
    }
    let listing = Listing::open(context.output);
    let skip = entries.len().saturating_sub(args.number);
    for entry in entries.drain(skip..) {
        context.tell(&Event::History(Box::new(entry)));
    }
    listing.close();
    Ok(ExitCode::Ok)
}
