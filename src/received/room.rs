//! What stays free of the disk that received files are on.

use std::sync::PoisonError;

use super::{Received, ReceivedError, room};
use crate::disk::Room;

impl Received {
    /// The same, with so many bytes of its disk kept free: see [`Disk::room`](crate::disk::Disk::room).
    pub fn with_reserve(self, reserve: Option<u64>) -> Self {
        self.keep_free(reserve);
        self
    }

    /// From now on so many bytes of its disk are kept free.
    pub fn keep_free(&self, reserve: Option<u64>) {
        *self.reserve.lock().unwrap_or_else(PoisonError::into_inner) = reserve;
    }

    pub(super) fn kept_free(&self) -> Option<u64> {
        *self.reserve.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What may still be written here.
    ///
    /// # Errors
    /// [`ReceivedError::Io`].
    pub fn room(&self) -> Result<Room, ReceivedError> {
        room(&*self.root()?, self.kept_free(), &self.path)
    }
}
