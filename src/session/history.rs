//! What was sent and received from this home.

use std::{io, sync::Arc};

use super::{
    Error, Event, Home, Session,
    store::{blocking, check_there, look},
};
use crate::{
    manifest::Timestamp,
    peer::{ArrivalSeq, Arrivals, History, HistoryEntry, Kept, ReadHistory},
    store::LocalStore,
    wire::Arriving,
};

/// What was sent and received from `home`, the newest last.
///
/// # Errors
/// Fails if the home or the disk of its store is not there, or the history cannot be read.
pub fn history(home: &Home) -> Result<Vec<HistoryEntry>, Error> {
    Ok(read_history(home)?.entries)
}

/// The same, with how many lines of it cannot be read.
///
/// # Errors
/// As [`history`].
pub fn read_history(home: &Home) -> Result<ReadHistory, Error> {
    match home.check_there() {
        // What was sent and received stays, and is read without a key.
        Err(Error::Leave(_)) => {}
        checked => checked?,
    }
    check_there(home)?;
    let history = History::new(&home.chunks());
    let read = history.read();
    read.map_err(|error| Error::io(history.path(), error))
}

impl Session {
    /// What was sent and received, the newest last.
    ///
    /// # Errors
    /// As [`history`].
    pub fn history(&self) -> Result<Vec<HistoryEntry>, Error> {
        history(&self.home)
    }

    /// What was brought of late and did not come: it was cut or not taken, has not come since, and is not among what is
    /// `arriving`. That the history cannot be read is told, and is no reason for the operation to fail.
    pub async fn missed(&self, arriving: &[Arriving]) -> Vec<HistoryEntry> {
        let store = look(&self.home).ok().map(Arc::new);
        self.missed_in(store, arriving).await
    }

    /// The same, with the `store` of this home, if it has one that can be read.
    pub(super) async fn missed_in(
        &self,
        store: Option<Arc<LocalStore>>,
        arriving: &[Arriving],
    ) -> Vec<HistoryEntry> {
        let mut missed = self.not_come();
        let is_of = |entry: &HistoryEntry, one: &Arriving| {
            let sender = entry.sender.is_none_or(|sender| sender == one.sender_id());
            one.transfer == entry.transfer && sender
        };
        missed.retain(|entry| !arriving.iter().any(|one| is_of(entry, one)));
        let asked = missed
            .iter()
            .map(|entry| (entry.transfer, entry.sender, entry.at));
        let asked: Vec<_> = asked.collect();
        if let Some(store) = store
            && let Ok(came) = blocking(move || store.that_came(&asked)).await
        {
            let mut came = came.into_iter();
            missed.retain(|_| !came.next().unwrap_or(false));
        }
        missed
    }

    fn not_come(&self) -> Vec<HistoryEntry> {
        let history = History::new(&self.home.chunks());
        history.missed(Timestamp::now()).unwrap_or_else(|error| {
            self.tell(Event::HistoryUnread {
                path: history.path().to_string_lossy().into_owned(),
                reason: error.to_string(),
            });
            Vec::new()
        })
    }

    /// Follows what arrives here: what has come since `after`, or from now on, and then what comes, also while another process serves
    /// this home. It never ends.
    pub fn arrivals(&self, after: Option<ArrivalSeq>) -> Arrivals {
        Arrivals::of(History::new(&self.home.chunks()), after)
    }

    /// Adds to the history. That this fails is told, and is no reason for the operation to fail.
    pub(crate) fn remember(&self, entry: &HistoryEntry) {
        self.write_history(|history| history.append(entry));
    }

    /// The same of a transfer for us that the owner has decided about.
    pub(crate) fn remember_arrival(&self, entry: &HistoryEntry, arrival: &Kept) {
        self.write_history(|history| history.append_arrival(entry, arrival).map(drop));
    }

    fn write_history(&self, append: impl FnOnce(&History) -> io::Result<()>) {
        let history = History::new(&self.home.chunks());
        if let Err(error) = append(&history) {
            self.tell(Event::HistoryUnwritten {
                path: history.path().to_string_lossy().into_owned(),
                reason: error.to_string(),
            });
        }
    }
}
