//! What happens at the peer of this home, said while the person is at a prompt: arrivals, and what its owner should know.

use std::{sync::Arc, time::Duration};

use tokio::{sync::broadcast::Receiver, time::sleep};

use super::jobs::{Jobs, Server};
use crate::{
    cli::{
        show::{brief, serve},
        terminal,
    },
    name::Escaped,
    peer::{Arrivals, DecidedBy, Notice, PeerHandle},
    session::{Arrived, Session},
    store::TransferState,
};

/// How often it is looked at how far arrivals are.
const EACH: Duration = Duration::from_millis(500);
/// The same where another process has to be asked.
const EACH_ASKED: Duration = Duration::from_secs(2);

/// Announces `arrivals`, until they end.
pub(super) async fn run(mut arrivals: Arrivals, jobs: Arc<Jobs>) {
    while let Ok(arrival) = arrivals.recv().await {
        // There is an entry for what waits.
        jobs.has_come(arrival.transfer);
        // What the person decides is said where that is done.
        if arrival.decided == DecidedBy::Inbox {
            terminal::announce(&line(&(&arrival).into()));
        }
    }
}

/// Shows what is arriving at the peer of this menu, until it ends.
pub(super) async fn follow(peer: PeerHandle, jobs: Arc<Jobs>) {
    while peer.store().is_some() {
        jobs.set_coming(peer.arriving().await, Server::Menu);
        sleep(EACH).await;
    }
    jobs.set_coming(Vec::new(), Server::Menu);
}

/// The same of the peer that another process serves. It never ends.
pub(super) async fn follow_elsewhere(session: Session, jobs: Arc<Jobs>) {
    loop {
        jobs.set_coming(session.arriving_now().await, Server::Other);
        sleep(EACH_ASKED).await;
    }
}

/// Says what the owner should know, but for what was `said` before.
pub(super) async fn warn(mut notices: Receiver<Notice>, said: Vec<Notice>) {
    while let Ok(notice) = notices.recv().await {
        if !said.contains(&notice) {
            terminal::announce(&warning(&notice));
        }
    }
}

pub(super) fn warning(notice: &Notice) -> String {
    let text = brief::on_clock_here(&notice.text);
    format!("warning: {}", Escaped::whole(&text))
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
