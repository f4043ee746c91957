//! What is said of a peer that serves, and of what should be known of a home.

use super::doctor;
use crate::{cli::output::Output, session::Event};

/// Says the events of serving.
pub(super) fn say(output: Output, event: &Event) {
    match event {
        // The log has it, and is on standard error too.
        Event::Notice(_) => {}
        _ => doctor::say(output, event),
    }
}
