//! What a running peer does beside requests and arrivals, by the clock.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::runtime::Handle;

use super::{
    adjust::{InForce, changed},
    directory::refresh_directory,
    inbox::Inbox,
    stamps::stamps_of,
};
use crate::{
    manifest::Timestamp,
    name::Escaped,
    store::{KeepSettled, LocalStore, StoreError},
    tls::{CertsDir, Endings, TlsError, ca},
    wire::GcBody,
};

/// How often chunks that nobody names are collected, and the rest is put in order.
const HOUSEKEEPING: Duration = Duration::from_secs(3600);
/// How often transfers whose time is over are let go.
const EXPIRY: Duration = Duration::from_secs(10);

/// Renews the revocation list and collects what is not needed any more, once in a while.
pub(super) async fn housekeeping(
    store: Arc<LocalStore>,
    inbox: Arc<Inbox>,
    mut options: InForce,
    certs: CertsDir,
) {
    let mut ticks = tokio::time::interval(HOUSEKEEPING);
    loop {
        let before = options.borrow_and_update().inbox.keep;
        tokio::select! {
            _ = ticks.tick() => {}
            () = changed(&mut options) => {
                if options.borrow().inbox.keep == before {
                    continue;
                }
            }
        }
        let keep = options.borrow().inbox.keep;
        let (store, inbox, certs) = (store.clone(), inbox.clone(), certs.clone());
        let kept = tokio::task::spawn_blocking(move || {
            renew_list(&certs);
            collect(&store, &inbox, keep, false)
        });
        match kept.await {
            Ok(Ok(report)) => tracing::debug!(?report, "collected"),
            Ok(Err(error)) => tracing::error!(%error, "collecting failed"),
            Err(error) => tracing::error!(%error, "collecting failed"),
        }
    }
}

/// Lets go what needs not be kept any more, and collects its chunks. Blocks.
pub(super) fn collect(
    store: &LocalStore,
    inbox: &Inbox,
    keep: KeepSettled,
    unfinished: bool,
) -> Result<GcBody, StoreError> {
    inbox.remove_stale(SystemTime::now());
    let now = Timestamp::now();
    let expired = take_expired(store, inbox, now)?;
    let opened = store.let_go_settled(keep, inbox.me(), now)?;
    let report = match unfinished {
        true => store.gc_unfinished(now)?,
        false => store.gc(now)?,
    };
    Ok(GcBody {
        opened,
        expired: expired + report.expired,
        chunks: report.chunks,
        bytes: report.bytes,
        by: report.by,
        removed: report.removed,
        abandoned: report.abandoned,
        sends: report.sends,
    })
}

/// Lets transfers go soon after their time is over; what fails is told by [`housekeeping`], less often.
pub(super) async fn expiring(store: Arc<LocalStore>, inbox: Arc<Inbox>) {
    let mut ticks = tokio::time::interval(EXPIRY);
    loop {
        ticks.tick().await;
        let (store, inbox) = (store.clone(), inbox.clone());
        let gone =
            tokio::task::spawn_blocking(move || take_expired(&store, &inbox, Timestamp::now()));
        match gone.await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::debug!(%error, "letting go failed"),
            Err(error) => tracing::debug!(%error, "letting go failed"),
        }
    }
}

/// Lets transfers go whose time is over, and tells of each. Gives how many. Blocks a thread of the runtime that may be.
fn take_expired(store: &LocalStore, inbox: &Inbox, now: Timestamp) -> Result<usize, StoreError> {
    let runtime = Handle::current();
    store.take_expired(now, &|gone| runtime.block_on(inbox.expired(&gone)))
}

/// On the circle's machine: revokes what a pairing left that was killed beside this peer, soon after its end.
pub(super) async fn revoking(certs: CertsDir) {
    let mut ticks = tokio::time::interval(EXPIRY);
    let mut settled = None;
    loop {
        ticks.tick().await;
        let now = stamps_of(&[certs.issued()]);
        if settled.as_ref() == Some(&now) {
            continue;
        }
        let dir = certs.clone();
        let done = tokio::task::spawn_blocking(move || revoke_pending(&dir)).await;
        settled = matches!(done, Ok(true)).then_some(now);
    }
}

/// Revokes what pairings that have ended left pending. Returns whether nothing is pending now.
pub(super) fn revoke_pending(certs: &CertsDir) -> bool {
    match ca::revoke_pending(certs, Duration::ZERO) {
        Ok(Some(names)) => {
            for name in names {
                let name = Escaped::new(&name);
                tracing::warn!(%name, "a pairing was interrupted: its certificates are revoked");
            }
            true
        }
        Err(TlsError::NotTheCircle { .. }) => true,
        Ok(None) => false,
        Err(error) => {
            tracing::error!(%error, "what pairings left pending cannot be revoked");
            false
        }
    }
}

/// The same at the start of a list that is past its date, before anything is said of that.
pub(super) fn renew_old_list(certs: &CertsDir) {
    let ended = Endings::read(certs).revocation_list;
    if certs.ca_key().exists() && ended.is_some_and(|end| end < Timestamp::now()) {
        renew_list(certs);
    }
}

/// On the circle's machine: a list near its date is signed again. Whoever watches the files reads it.
fn renew_list(certs: &CertsDir) {
    match ca::refresh_list(certs, Timestamp::now()) {
        Ok(true) => tracing::info!("the revocation list was signed again, for another 30 days"),
        Ok(false) | Err(TlsError::NotTheCircle { .. }) => {}
        Err(error) => tracing::error!(%error, "the revocation list cannot be signed again"),
    }
    // Who was a member may be none any more, by the date of its certificate.
    refresh_directory(certs, &[]);
}
