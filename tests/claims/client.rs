//! What a client makes of servers that are broken, slow or evil.

mod evil;
mod lies;
mod problems;
mod slow;
mod trust;

use std::{fmt::Debug, future::Future};

use colis::store::StoreError;
use tokio::time::timeout;

use testkit::server::PATIENCE;

/// The error of `call`, which comes in reasonable time.
async fn error_of<T: Debug>(call: impl Future<Output = Result<T, StoreError>>) -> StoreError {
    let result = timeout(PATIENCE, call)
        .await
        .expect("the client waits for ever");
    result.expect_err("the client was taken in")
}

/// Asserts that the server is said to break the protocol, and which one.
fn is_protocol(error: &StoreError, port: u16) {
    assert!(
        matches!(error, StoreError::Protocol { remote, .. } if remote.address().port() == port),
        "{error:?}"
    );
}
