//! Arrivals, said while the person is at a prompt.

use std::path::{Path, PathBuf};

use tokio::sync::broadcast::{Receiver, error::RecvError};

use crate::{
    cli::{show::serve, terminal},
    peer::Arrival,
    session::Arrived,
    store::TransferState,
};

/// Announces `arrivals`, until they end.
pub(super) async fn run(mut arrivals: Receiver<Arrival>, received: PathBuf) {
    loop {
        match arrivals.recv().await {
            Ok(arrival) => terminal::announce(&line(&(&arrival).into(), &received)),
            Err(RecvError::Lagged(missed)) => {
                terminal::announce(&format!("* {missed} more have arrived: see the history"));
            }
            Err(RecvError::Closed) => return,
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
