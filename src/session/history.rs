//! What was sent and received from this home.

use super::{Error, Event, Session};
use crate::peer::{History, HistoryEntry};

impl Session {
    /// What was sent and received, the newest last.
    ///
    /// # Errors
    /// Fails if the history cannot be read.
    pub fn history(&self) -> Result<Vec<HistoryEntry>, Error> {
        let history = History::new(&self.home.chunks());
        let entries = history.entries();
        entries.map_err(|error| Error::io(history.path(), error))
    }

    /// Adds to the history. That this fails is told, and is no reason for the operation to fail.
    pub(crate) fn remember(&self, entry: &HistoryEntry) {
        let history = History::new(&self.home.chunks());
        if let Err(error) = history.append(entry) {
            self.tell(Event::HistoryUnwritten {
                path: history.path().to_string_lossy().into_owned(),
                reason: error.to_string(),
            });
        }
    }
}
