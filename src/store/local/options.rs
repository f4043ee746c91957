//! How much a local store takes.

use super::{Relay, space};
use crate::disk::Room;

/// How a local store behaves.
#[derive(Debug, Clone, Copy, Default)]
pub struct LocalStoreOptions {
    /// Bytes of the disk that stay free; unless told, 1 GiB or a fiftieth of the disk.
    pub reserve: Option<u64>,
    /// The most bytes to store.
    pub quota: Option<u64>,
    /// How much, and for how long, it stores for others than its owner.
    pub relay: Option<Relay>,
}

impl LocalStoreOptions {
    /// Bytes that may still be stored beside the `used` ones: the smaller of what the disk and the quota leave, and none
    /// where no file can be made.
    pub fn usable(self, room: Room, used: u64) -> u64 {
        space::usable(room, self.quota, used)
    }
}
