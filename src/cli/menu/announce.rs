//! Arrivals, said while the person is at a prompt.

use std::collections::HashMap;

use tokio::sync::broadcast::{Receiver, error::RecvError};

use crate::{
    cli::{
        Context,
        connect::Us,
        list::{join_escaped, names},
        terminal,
    },
    config::units::Size,
    id::{ManifestId, PeerId, Short as _},
    name::Escaped,
    store::{LocalStore, TransferState},
    wire::Event,
};

/// Transfers whose end is awaited. What is stored here for others never ends, so the oldest knowledge is dropped.
const MAX_AWAITED: usize = 1000;

/// Announces what `events` tell, until they end.
pub(super) fn spawn(context: &Context, events: Receiver<Event>) {
    let chunks = context.home.chunks();
    if let (Ok(us), Ok(store)) = (Us::load(context), LocalStore::open_read_only(&chunks)) {
        let herald = Herald {
            us,
            store,
            received: context.home.received().display().to_string(),
            awaited: HashMap::new(),
        };
        tokio::spawn(herald.run(events));
    }
}

struct Herald {
    us: Us,
    store: LocalStore,
    received: String,
    /// What each transfer is that has come and is not settled.
    awaited: HashMap<ManifestId, String>,
}

impl Herald {
    async fn run(mut self, mut events: Receiver<Event>) {
        loop {
            match events.recv().await {
                Ok(Event::Published { id, sender, size }) => self.came(id, sender, size).await,
                Ok(Event::State { id, state }) => self.settled(id, state.state),
                Err(RecvError::Lagged(missed)) => {
                    terminal::announce(&format!(
                        "{missed} more things happened here: see the lists"
                    ));
                }
                Err(RecvError::Closed) => return,
            }
        }
    }

    /// What it is can only be told before it is let go.
    async fn came(&mut self, id: ManifestId, sender: PeerId, size: u64) {
        let (from, size) = (self.us.name_of(sender), Size(size));
        let what = match names(&self.us, &self.store, id).await {
            Some(names) => format!("{} ({size})", join_escaped(&names)),
            None => format!("{size}"),
        };
        if self.awaited.len() >= MAX_AWAITED {
            self.awaited.clear();
        }
        let text = format!("{} sent {what}", Escaped::new(&from));
        self.awaited.insert(id, text);
    }

    fn settled(&mut self, id: ManifestId, state: TransferState) {
        let known = match state {
            TransferState::Waiting => self.awaited.get(&id).cloned(),
            _ => self.awaited.remove(&id),
        };
        let what = known.unwrap_or_else(|| format!("transfer {}", id.short()));
        let became = match state {
            TransferState::Opened => format!("it is in {}", self.received),
            TransferState::Waiting => "it waits for a yes: see arrivals".to_owned(),
            TransferState::Refused => "it was refused".to_owned(),
            TransferState::Expired => "it has expired".to_owned(),
            TransferState::Stored => "it is stored".to_owned(),
        };
        terminal::announce(&format!("* {what}: {became}"));
    }
}
