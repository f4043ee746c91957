//! The file of the address book: what a newer version wrote is told from what is damaged.

use std::path::Path;

use super::{Book, TrustError};
use crate::private;

/// The version that is written here.
pub(super) const VERSION: u64 = 1;

pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<Book, TrustError> {
    let path = path.to_owned();
    match serde_json::from_slice::<Book>(bytes) {
        Ok(book) if book.v > VERSION => Err(TrustError::Newer {
            path,
            reason: format!("it has version {}", book.v),
        }),
        Ok(book) => Ok(book),
        Err(error) => {
            let reason = error.to_string();
            Err(match private::is_newer(&error) {
                true => TrustError::Newer { path, reason },
                false => TrustError::Damaged { path, reason },
            })
        }
    }
}
