//! Arrivals, said while the person is at a prompt.

use std::path::{Path, PathBuf};

use tokio::sync::broadcast::{Receiver, error::RecvError};

use crate::{
    cli::{arrivals, terminal},
    peer::{Arrival, Outcome},
};

/// Announces `arrivals`, until they end.
pub(super) async fn run(mut arrivals: Receiver<Arrival>, received: PathBuf) {
    loop {
        match arrivals.recv().await {
            Ok(arrival) => terminal::announce(&line(&arrival, &received)),
            Err(RecvError::Lagged(missed)) => {
                terminal::announce(&format!("* {missed} more have arrived: see the history"));
            }
            Err(RecvError::Closed) => return,
        }
    }
}

/// The name of a file says more than its folder, which is said when the menu opens.
fn line(arrival: &Arrival, received: &Path) -> String {
    let what = arrivals::what(arrival, received);
    match &arrival.outcome {
        Outcome::Waiting(_) => format!("* {what}: see Arrivals"),
        _ => format!("* {what}"),
    }
}
