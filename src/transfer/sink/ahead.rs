//! How much space is taken for a file before its bytes are there: all of it, so that a full disk is found at once; but only a
//! little of a file whose manifest has not come, for its sender may have announced any length.

use super::{Proof, Sink};
use crate::{received::StagedFile, transfer::TransferError};

/// So much is taken beyond what came.
const AHEAD: u64 = 16 << 20;

impl Sink {
    /// Takes the space of a file of `size` bytes that is written next, unless all of it is `at_hand`. Gives for how much of it the
    /// space need not be taken any more.
    pub(super) fn take_at_once(
        &self,
        file: &StagedFile,
        size: u64,
        at_hand: u64,
    ) -> Result<u64, TransferError> {
        match self.proof {
            _ if size <= at_hand => {}
            Proof::Known { .. } => file.preallocate(size)?,
            Proof::Later(_) => return Ok(0),
        }
        Ok(size)
    }

    /// Takes space for `length` bytes more of the open file, and for some that follow, unless it has it.
    pub(super) fn take_more(&mut self, length: u64) -> Result<(), TransferError> {
        self.take_up_to(|written| written.saturating_add(length), AHEAD)
    }

    /// Takes the space of the rest of the open file.
    pub(super) fn take_rest(&mut self) -> Result<(), TransferError> {
        self.take_up_to(|_| u64::MAX, 0)
    }

    fn take_up_to(
        &mut self,
        needed: impl FnOnce(u64) -> u64,
        ahead: u64,
    ) -> Result<(), TransferError> {
        let size = self.current.as_ref().map(|open| self.size_of(open.step));
        let Some((open, size)) = self.current.as_mut().zip(size) else {
            return Ok(());
        };
        let needed = needed(open.written).min(size);
        if needed > open.allocated {
            let end = needed.saturating_add(ahead).min(size);
            self.staging.extend(&open.file, open.allocated, end)?;
            open.allocated = end;
        }
        Ok(())
    }
}
