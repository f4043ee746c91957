//! Arrivals, said while the person is at a prompt.

use std::sync::Arc;

use super::jobs::Jobs;
use crate::{
    cli::{show::serve, terminal},
    peer::{Arrivals, DecidedBy},
    session::Arrived,
    store::TransferState,
};

/// Announces `arrivals`, until they end.
pub(super) async fn run(mut arrivals: Arrivals, jobs: Arc<Jobs>) {
    while let Ok(arrival) = arrivals.recv().await {
        // There is an entry for what waits.
        jobs.note_change();
        // What the person decides is said where that is done.
        if arrival.decided == DecidedBy::Inbox {
            terminal::announce(&line(&(&arrival).into()));
        }
    }
}

/// A line above a list is cut where the terminal ends: the user's own folder is `~` in it.
fn line(arrived: &Arrived) -> String {
    let user = std::env::home_dir();
    let what = serve::what(arrived, user.as_deref());
    match arrived.state {
        TransferState::Waiting => format!("* {what}: see Arrivals"),
        _ => format!("* {what}"),
    }
}
