//! Arrivals, said while the person is at a prompt.

use tokio::sync::broadcast::{Receiver, error::RecvError};

use crate::{
    cli::{arrivals, terminal},
    peer::{Arrival, Outcome},
};

/// Announces `arrivals`, until they end.
pub(super) async fn run(mut arrivals: Receiver<Arrival>) {
    loop {
        match arrivals.recv().await {
            Ok(arrival) => terminal::announce(&line(&arrival)),
            Err(RecvError::Lagged(missed)) => {
                terminal::announce(&format!("* {missed} more have arrived: see the history"));
            }
            Err(RecvError::Closed) => return,
        }
    }
}

fn line(arrival: &Arrival) -> String {
    let what = arrivals::what(arrival);
    match &arrival.outcome {
        Outcome::Waiting(_) => format!("* {what}: see Arrivals"),
        _ => format!("* {what}"),
    }
}
