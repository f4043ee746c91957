//! Certificates, revocations, roles and rights of a running peer, read again when their files change.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::{
    door::Door,
    files::Files,
    handle::ReloadError,
    places::{CERTS, tell},
};
use crate::server::WeakServerState;

/// How often files of `certs/` are looked at: a revocation is in force within a second.
const WATCH: Duration = Duration::from_millis(400);

/// Reads what has changed, once, whoever asks first.
pub(super) struct Reread {
    door: Arc<Door>,
    state: WeakServerState,
    read: Mutex<Files>,
}

impl Reread {
    /// `read` is what of `certs/` is in use.
    pub(super) fn new(door: &Arc<Door>, state: WeakServerState, read: Files) -> Self {
        Self {
            door: door.clone(),
            state,
            read: Mutex::new(read),
        }
    }

    /// Looks from time to time. Never ends.
    pub(super) async fn run(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(WATCH);
        let mut displaced = Vec::new();
        loop {
            ticks.tick().await;
            let gone = self.door.places().displaced();
            tell(&displaced, &gone);
            displaced = gone;
            self.look();
        }
    }

    /// Looks now. What cannot be used is logged, and changes nothing.
    pub(super) fn look(&self) {
        // Without its address book nobody would be blocked.
        if self.door.places().displaced().contains(&CERTS) {
            return;
        }
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.door.files();
        if now.book != read.book {
            self.read_book();
        }
        if now.certificates != read.certificates {
            self.read_certificates();
        }
        *read = now;
    }

    /// Reads all of it, changed or not, and cuts the connections of those who may not have one any more. Gives how many were cut.
    pub(super) fn read_all(&self) -> Result<usize, ReloadError> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.door.files();
        let (book, certificates) = (self.door.reload_book(), self.door.reload());
        let cut = self.state.drop_revoked();
        *read = now;
        book?;
        certificates?;
        Ok(cut)
    }

    fn read_book(&self) {
        match self.door.reload_book() {
            Ok(false) => {}
            Ok(true) => tracing::info!(closed = self.state.drop_revoked(), "roles read again"),
            Err(error) => {
                tracing::error!(%error, "roles unchanged: what is on disk cannot be used");
            }
        }
    }

    fn read_certificates(&self) {
        match self.door.reload() {
            Ok(()) => tracing::info!(
                closed = self.state.drop_revoked(),
                "certificates and revocations read again"
            ),
            Err(error) => {
                tracing::error!(%error, "certificates unchanged: what is on disk cannot be used");
            }
        }
    }
}
