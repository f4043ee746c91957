//! Arrivals, said while the person is at a prompt.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::jobs::Jobs;
use crate::{
    cli::{show::serve, terminal},
    peer::{Arrivals, DecidedBy},
    session::Arrived,
    store::TransferState,
};

/// Announces `arrivals`, until they end.
pub(super) async fn run(mut arrivals: Arrivals, received: PathBuf, jobs: Arc<Jobs>) {
    while let Ok(arrival) = arrivals.recv().await {
        // There is an entry for what waits.
        jobs.note_change();
        // What the person decides is said where that is done.
        if arrival.decided == DecidedBy::Inbox {
            terminal::announce(&line(&(&arrival).into(), &received));
        }
    }
}

/// The name of a file says more than its folder, which is said when the menu opens.
fn line(arrived: &Arrived, received: &Path) -> String {
    let what = serve::what(arrived, received);
    match arrived.state {
        TransferState::Waiting => format!("* {what}: see Arrivals"),
        _ => format!("* {what}"),
    }
}
