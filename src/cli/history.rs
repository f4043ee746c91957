//! `history`: what was sent and received.

use super::{
    Context, args,
    report::{ExitCode, Failure},
};
use crate::session::{self, Event};

pub(super) fn run(context: &Context, args: &args::History) -> Result<ExitCode, Failure> {
    let mut entries = session::history(&context.home)?;
    if entries.is_empty() {
        context.output.talk("nothing was sent or received yet");
    }
    let skip = entries.len().saturating_sub(args.number);
    for entry in entries.drain(skip..) {
        context.tell(&Event::History(Box::new(entry)));
    }
    Ok(ExitCode::Ok)
}
