//! The files of a sink: made, gone on with after an earlier run, and closed.

use std::{ops::Range, sync::Arc};

use super::{Open, Proof, Sink, journal};
use crate::{
    id::{FileDigest, FileHasher, Join, Piece},
    received::{Kept, StagedFile, Unsynced},
    transfer::{Difference, TransferError, plan::StepKind},
};

/// Bytes that are read at once.
const READ: usize = 1 << 20;

impl Sink {
    /// Opens a file, as an earlier run left it, or makes it, and what comes before it. Space is taken for one that will not be
    /// `whole` at once.
    pub(super) fn open_file(&mut self, file: usize, whole: bool) -> Result<Open, TransferError> {
        let step = self.steps[file];
        self.make_before(step)?;
        let (size, path) = (self.size_of(file), &self.plan.steps[step].path);
        let staged = self.staging.create_file(path, size)?;
        let allocated = match whole {
            true => size,
            false => self.take_at_once(&staged, size)?,
        };
        Ok(Open {
            file: Arc::new(staged),
            join: Join::default(),
            left: size,
            allocated,
        })
    }

    /// Makes the folders and empty files among the first `steps`.
    pub(super) fn make_before(&mut self, steps: usize) -> Result<(), TransferError> {
        while self.made < steps {
            let step = self.made;
            self.made += 1;
            match self.plan.steps[step].kind {
                StepKind::Directory { .. } => {
                    self.staging.create_dir(&self.plan.steps[step].path)?;
                }
                StepKind::File { size: 0, .. } => {
                    let file = self.steps.partition_point(|other| *other < step);
                    let open = self.open_file(file, true)?;
                    self.close(file, open)?;
                }
                StepKind::File { .. } | StepKind::Symlink { .. } | StepKind::Skipped => {}
            }
        }
        Ok(())
    }

    /// A file has all its bytes: they must be those that the sender hashed, as soon as that is known.
    pub(super) fn close(&mut self, file: usize, open: Open) -> Result<(), TransferError> {
        let size = self.size_of(file);
        let found = match open.join.finish(size) {
            Some(found) => found,
            // What an earlier run kept of it was not that.
            None => hash(&open.file, size).map_err(|_| self.differs(file, Difference::Short))?,
        };
        match &mut self.proof {
            Proof::Known { sums, .. } => {
                let expected = sums[file];
                self.compare(file, expected, found)?;
            }
            Proof::Later(before) => before.push((file, found)),
        }
        let (staged, step) = (open.file, &self.plan.steps[self.steps[file]]);
        staged.cut_to(size)?;
        if let StepKind::File {
            mtime, executable, ..
        } = step.kind
        {
            if executable && self.options.keep_exec {
                self.lost.executable |= staged.set_executable()? == Kept::No;
            }
            self.lost.times |= staged.set_times(mtime.0, mtime.1)? == Kept::No;
        }
        if self.syncs_each() {
            return self.begin_sync(Unsynced::Files(vec![staged]), None);
        }
        if size >= super::CHECKPOINT {
            self.closed.push(staged);
        }
        Ok(())
    }

    /// Passes over what an earlier run wrote. `left` has a state afterwards only if it can be believed.
    pub(super) fn go_on(&mut self, left: &mut journal::Left) -> Result<(), TransferError> {
        let offset = self.spans.offset_of(left.chunks);
        self.chunks = left.chunks;
        if let Some(last) = self.spans.ending_at(offset) {
            self.made = self.steps[last] + 1;
        }
        let state = left.state.take();
        let Some((file, written)) = self.spans.open_at(offset) else {
            return Ok(());
        };
        self.made = self.steps[file];
        let journaled = self.staging.journal_changed_at();
        let path = &self.plan.steps[self.made].path;
        let staged = self.staging.create_file(path, self.size_of(file))?;
        // A file that was written to after its last record may have been by others: then it is read again from its beginning. So it is
        // where both have the same time, for a file system's clock is coarse.
        let believed = journaled > Some(staged.changed_at()?);
        let state = state.filter(|_| believed).and_then(|(chunks, state)| {
            let (same, known) = self.spans.open_at(self.spans.offset_of(chunks))?;
            let join = Join::read(&state).filter(|_| same == file)?;
            Some(((chunks, state), join, known))
        });
        let (mut join, mut known) = (Join::default(), 0);
        if let Some((kept, from, bytes)) = state {
            left.state = Some(kept);
            (join, known) = (from, bytes);
        }
        let read = read_into(&mut join, &staged, known..written, self.size_of(file));
        read.map_err(|_| self.differs(file, Difference::Short))?;
        staged.preallocate(self.size_of(file))?;
        let open = Open {
            file: Arc::new(staged),
            join,
            left: self.size_of(file) - written,
            allocated: self.size_of(file),
        };
        self.open.insert(file, open);
        Ok(())
    }

    /// What is known of the digest of the file that is not complete after the chunks that are done, and how many these are.
    pub(super) fn state(&self) -> (u64, Vec<u8>) {
        let open = self.spans.open_at(self.spans.offset_of(self.chunks));
        let state = open.and_then(|(file, written)| {
            let open = self.open.get(&file)?;
            Some(open.join.write(written))
        });
        (self.chunks, state.unwrap_or_default())
    }

    fn size_of(&self, file: usize) -> u64 {
        let whole = self.spans.of_file(file);
        whole.end - whole.start
    }
}

/// Adds the bytes in `range` of a file of `size` bytes, as it is on the disk.
fn read_into(
    join: &mut Join,
    file: &StagedFile,
    range: Range<u64>,
    size: u64,
) -> Result<(), TransferError> {
    let (mut at, mut buffer) = (range.start, vec![0; READ]);
    while at < range.end {
        let count = usize::try_from(range.end - at).unwrap_or(READ).min(READ);
        file.read_exact_at(&mut buffer[..count], at)?;
        join.add(Piece::of(&buffer[..count], at, size));
        at += count as u64;
    }
    Ok(())
}

/// The digest of the first `size` bytes of a file.
fn hash(file: &StagedFile, size: u64) -> Result<FileDigest, TransferError> {
    let (mut hasher, mut at, mut buffer) = (FileHasher::default(), 0, vec![0; READ]);
    while at < size {
        let count = usize::try_from(size - at).unwrap_or(READ).min(READ);
        file.read_exact_at(&mut buffer[..count], at)?;
        hasher.update(&buffer[..count]);
        at += count as u64;
    }
    Ok(hasher.finish())
}
