//! How much space is taken for a file before its bytes are there: all of it, so that a full disk is found at once; but only a
//! little of a file whose manifest has not come, for its sender may have announced any length.

use super::{Open, Proof, Sink};
use crate::{received::StagedFile, transfer::TransferError};

/// So much is taken beyond what came.
const AHEAD: u64 = 16 << 20;

impl Sink {
    /// Takes the space of a file of `size` bytes that is about to be written. Gives for how much of it none need be taken any more.
    pub(super) fn take_at_once(&self, file: &StagedFile, size: u64) -> Result<u64, TransferError> {
        match self.proof {
            Proof::Known { .. } => file.preallocate(size)?,
            Proof::Later(_) => return Ok(0),
        }
        Ok(size)
    }

    /// Takes space for an open file of `size` bytes up to `end`, and for some that follow, unless it has it.
    pub(super) fn take_up_to(
        &self,
        open: &mut Open,
        end: u64,
        size: u64,
    ) -> Result<(), TransferError> {
        if end > open.allocated {
            let end = end.saturating_add(AHEAD).min(size);
            self.staging.extend(&open.file, open.allocated, end)?;
            open.allocated = end;
        }
        Ok(())
    }

    /// Takes the space of the rest of the open files.
    pub(super) fn take_rest(&mut self) -> Result<(), TransferError> {
        for (file, open) in &mut self.open {
            let whole = self.spans.of_file(*file);
            let size = whole.end - whole.start;
            if size > open.allocated {
                self.staging.extend(&open.file, open.allocated, size)?;
                open.allocated = size;
            }
        }
        Ok(())
    }
}
