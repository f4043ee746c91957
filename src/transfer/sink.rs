//! Writing the content of a transfer into its staging, in order, each file verified as it ends.
//!
//! Because content comes in order, what is done is one number: how many chunks. It is journaled after every chunk, and
//! as durable when a checkpoint, which goes on beside the writing, is over. After a crash of the program the page cache
//! still has everything, so the last number counts; after a reboot only the last durable one does.

mod journal;

use std::{collections::VecDeque, sync::Arc};

use journal::Journal;

use super::{
    Difference, OpenedTransfer, Part, ReceiveOptions, TransferError,
    open::integrity,
    plan::{Plan, StepKind},
};
use crate::{
    crypto::KeyCommitment,
    id::{Digest, Hasher},
    received::{Kept, ReceivedError, StagedFile, Staging, Syncer, Unsynced},
};

/// Plain bytes between two checkpoints.
const CHECKPOINT: u64 = 32 << 20;
/// Up to so many files and folders are synced one by one; more, by one sync of the file system.
const SYNC_EACH: usize = 64;

/// Takes plain content in order and writes it into the staged files.
pub(super) struct Sink {
    staging: Arc<Staging>,
    plan: Arc<Plan>,
    options: ReceiveOptions,
    next_step: usize,
    current: Option<Current>,
    /// The digests of the files that the chunk being written has from beginning to end.
    whole: VecDeque<Digest>,
    chunks: u64,
    since_checkpoint: u64,
    syncer: Syncer,
    /// Large files that were closed since the last checkpoint, and not synced by themselves.
    closed: Vec<Arc<StagedFile>>,
    /// The next file to be verified, by its number.
    next_file: usize,
    proof: Proof,
    lost: Lost,
}

/// What the file system could not keep of files whose content is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lost {
    /// When files or folders were modified.
    pub times: bool,
    /// That files may be executed.
    pub executable: bool,
}

/// What says that a file is the one that was sent.
enum Proof {
    /// The manifest is here: the digests that its sender signed, and a journal of what has them.
    Known { sums: Vec<Digest>, journal: Journal },
    /// It is not here yet: the digests of what was written, with the step of each.
    Later(Vec<(usize, Digest)>),
}

struct Current {
    file: Arc<StagedFile>,
    step: usize,
    hasher: Hasher,
    written: u64,
    /// Its digest, if all of it came in one chunk: `hasher` has nothing then.
    digest: Option<Digest>,
}

/// Removes `staging` of the transfer whose key is `key_id` unless a later run goes on with what is in it.
pub(super) fn discard_unless_begun(staging: &Staging, key_id: KeyCommitment) {
    // What cannot be read is no proof that nothing is there.
    if journal::done(staging, key_id.as_bytes()).is_ok_and(|chunks| chunks == 0) {
        staging.discard();
    }
}

impl Sink {
    /// Continues what an earlier run left in `staging`.
    pub(super) fn open(
        staging: Arc<Staging>,
        plan: Arc<Plan>,
        transfer: &OpenedTransfer,
        options: ReceiveOptions,
    ) -> Result<Self, TransferError> {
        let manifest = transfer.manifest.payload();
        let chunk_size = u64::from(manifest.chunk_size);
        let journal = Journal::open(&staging, manifest.key_id.as_bytes())?;
        let chunks = journal.done.min(manifest.chunks.len() as u64);
        let sums = transfer.listing.sums.clone();
        let mut sink = Self::begin(staging, plan, options);
        sink.chunks = chunks;
        sink.proof = Proof::Known { sums, journal };
        sink.skip((chunks * chunk_size).min(manifest.size))?;
        Ok(sink)
    }

    /// Begins before the manifest is there. Nothing of it counts until [`prove`](Self::prove) has said so.
    pub(super) fn begin(staging: Arc<Staging>, plan: Arc<Plan>, options: ReceiveOptions) -> Self {
        Self {
            staging,
            plan,
            options,
            next_step: 0,
            current: None,
            whole: VecDeque::new(),
            chunks: 0,
            since_checkpoint: 0,
            syncer: Syncer::default(),
            closed: Vec::new(),
            next_file: 0,
            proof: Proof::Later(Vec::new()),
            lost: Lost::default(),
        }
    }

    /// The manifest is here: what was written so far must be what its sender signed. Goes on as if opened with it.
    pub(super) fn prove(&mut self, transfer: &OpenedTransfer) -> Result<(), TransferError> {
        let Proof::Later(found) = std::mem::replace(&mut self.proof, Proof::Later(Vec::new()))
        else {
            return Err(TransferError::Stopped);
        };
        let key_id = transfer.manifest.payload().key_id;
        let mut journal = Journal::open(&self.staging, key_id.as_bytes())?;
        let sums = transfer.listing.sums.clone();
        for (number, (step, digest)) in found.into_iter().enumerate() {
            self.compare(step, sums[number], digest)?;
            self.next_file = number + 1;
        }
        journal.record(self.chunks, false)?;
        self.proof = Proof::Known { sums, journal };
        Ok(())
    }

    /// Where it is built.
    pub(super) fn staging(&self) -> &Arc<Staging> {
        &self.staging
    }

    /// What is to be built.
    pub(super) fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// How many chunks are done.
    pub(super) fn chunks_done(&self) -> u64 {
        self.chunks
    }

    /// Writes the next chunk.
    pub(super) fn write_chunk(&mut self, plain: &[u8]) -> Result<(), TransferError> {
        self.whole = self.sum_whole(plain);
        let mut rest = plain;
        while !rest.is_empty() {
            let left = self.open_next(rest.len() as u64)?;
            let (now, later) = rest
                .split_at(usize::try_from(left).map_or(rest.len(), |left| left.min(rest.len())));
            let current = self.current.as_mut().ok_or(TransferError::Stopped)?;
            current.file.write_at(now, current.written)?;
            if current.digest.is_none() {
                current.hasher.update(now);
            }
            current.written += now.len() as u64;
            rest = later;
            self.close_if_whole()?;
        }
        self.chunks += 1;
        self.since_checkpoint += plain.len() as u64;
        if self.since_checkpoint >= CHECKPOINT {
            self.begin_checkpoint()?;
        }
        let durable = self.syncer.done();
        let Proof::Known { journal, .. } = &mut self.proof else {
            return Ok(());
        };
        if let Some(chunks) = durable {
            journal.record(chunks, true)?;
        }
        journal.record(self.chunks, false)
    }

    /// Hashes the files that `plain` has from beginning to end: together, which may be faster.
    fn sum_whole(&self, plain: &[u8]) -> VecDeque<Digest> {
        let left = |current: &Current| self.size_of(current.step) - current.written;
        let begun = self.current.as_ref().map_or(0, left);
        let mut rest = plain;
        let mut take = |size: u64| {
            let (file, after) = rest.split_at_checked(usize::try_from(size).ok()?)?;
            rest = after;
            Some(file)
        };
        if take(begun).is_none() {
            return VecDeque::new();
        }
        let sizes = self.plan.steps[self.next_step..]
            .iter()
            .map(|step| &step.kind);
        let sizes = sizes.filter_map(|kind| match kind {
            StepKind::File { size, .. } if *size > 0 => Some(*size),
            _ => None,
        });
        let files: Vec<_> = sizes.map_while(take).collect();
        Digest::of_each(&files).into()
    }

    /// Makes what was written durable, so that even a reboot continues from here.
    pub(super) fn checkpoint(&mut self) -> Result<(), TransferError> {
        self.begin_checkpoint()?;
        self.finish_syncs()?;
        match &mut self.proof {
            Proof::Known { journal, .. } => journal.record(self.chunks, true),
            Proof::Later(_) => Ok(()),
        }
    }

    fn begin_checkpoint(&mut self) -> Result<(), TransferError> {
        self.since_checkpoint = 0;
        if !self.syncs_each() {
            let mut written = std::mem::take(&mut self.closed);
            written.extend(self.current.as_ref().map(|current| current.file.clone()));
            return self.begin_sync(Unsynced::Everything(self.staging.clone(), written));
        }
        match &self.current {
            Some(current) => self.begin_sync(Unsynced::File(current.file.clone())),
            None => Ok(()),
        }
    }

    fn begin_sync(&mut self, what: Unsynced) -> Result<(), TransferError> {
        let begun = self.syncer.sync(what, self.chunks);
        begun.map_err(|error| self.distrust(error))
    }

    fn finish_syncs(&mut self) -> Result<(), TransferError> {
        let finished = self.syncer.finish();
        finished.map_err(|error| self.distrust(error))
    }

    /// A sync failed. What is on the disk is not known any more, though reading may seem to show it: nothing of it counts
    /// for a later run.
    fn distrust(&mut self, error: ReceivedError) -> TransferError {
        if let Proof::Known { .. } = &self.proof
            && let Err(error) = self.staging.remove_journal()
        {
            tracing::error!(
                error = error.kind(),
                "cannot forget what may not be on the disk"
            );
        }
        error.into()
    }

    /// Everything was written: makes what has no content, then links and the times of folders, and syncs. Returns what the
    /// file system could not keep.
    pub(super) fn finish(mut self) -> Result<Lost, TransferError> {
        self.make_until_content()?;
        self.finish_syncs()?;
        if self.current.is_some() || self.next_step != self.plan.steps.len() {
            return Err(integrity(Part::Content, Difference::Short));
        }
        for step in &self.plan.steps {
            if let StepKind::Symlink { target } = &step.kind {
                self.staging.create_symlink(&step.path, target)?;
            }
        }
        self.staging.check_count(self.plan.made())?;
        let mut folders = Vec::new();
        for step in self.plan.steps.iter().rev() {
            if let StepKind::Directory { mtime } = step.kind {
                let kept = self.staging.set_dir_times(&step.path, mtime.0, mtime.1)?;
                self.lost.times |= kept == Kept::No;
                folders.push(&step.path);
            }
        }
        let synced = if self.syncs_each() && folders.len() <= SYNC_EACH {
            self.staging.sync_folders(folders.into_iter())
        } else {
            self.staging.sync_all()
        };
        synced.map_err(|error| self.distrust(error))?;
        Ok(self.lost)
    }

    /// Whether each file is synced when it is complete.
    fn syncs_each(&self) -> bool {
        self.plan.files <= SYNC_EACH
    }

    /// Passes over the first `offset` bytes of content, which an earlier run wrote, and hashes the part of a file.
    fn skip(&mut self, mut offset: u64) -> Result<(), TransferError> {
        while offset > 0 {
            match self.plan.steps.get(self.next_step).map(|step| &step.kind) {
                Some(StepKind::File { size, .. }) if *size <= offset => {
                    offset -= size;
                    self.next_step += 1;
                    self.next_file += 1;
                }
                Some(StepKind::File { .. }) => {
                    self.open_next(0)?;
                    return self.rehash(offset);
                }
                Some(_) => self.next_step += 1,
                None => return Err(TransferError::Stopped),
            }
        }
        Ok(())
    }

    fn rehash(&mut self, length: u64) -> Result<(), TransferError> {
        let current = self.current.as_mut().ok_or(TransferError::Stopped)?;
        let mut buffer = vec![0; 1 << 20];
        while current.written < length {
            let want = (length - current.written).min(buffer.len() as u64);
            let part = &mut buffer[..usize::try_from(want).unwrap_or(0)];
            current.file.read_exact_at(part, current.written)?;
            current.hasher.update(part);
            current.written += want;
        }
        Ok(())
    }

    /// Makes sure that a file with room is open. Gives how many bytes it still takes; `at_hand` are there to be written.
    fn open_next(&mut self, at_hand: u64) -> Result<u64, TransferError> {
        self.make_until_content()?;
        if self.current.is_none() {
            let step = self.next_step;
            let Some(StepKind::File { size, .. }) =
                self.plan.steps.get(step).map(|step| &step.kind)
            else {
                return Err(integrity(Part::Content, Difference::Long));
            };
            let file = Arc::new(
                self.staging
                    .create_file(&self.plan.steps[step].path, *size)?,
            );
            if *size > at_hand {
                file.preallocate(*size)?;
            }
            let digest = (*size <= at_hand).then(|| self.whole.pop_front());
            self.current = Some(Current {
                file,
                step,
                hasher: Hasher::default(),
                written: 0,
                digest: digest.flatten(),
            });
            self.next_step += 1;
        }
        let current = self.current.as_ref().ok_or(TransferError::Stopped)?;
        Ok(self.size_of(current.step) - current.written)
    }

    /// Makes the folders and empty files that come before the next file with content.
    fn make_until_content(&mut self) -> Result<(), TransferError> {
        while self.current.is_none() {
            let Some(step) = self.plan.steps.get(self.next_step) else {
                return Ok(());
            };
            match step.kind {
                StepKind::File { size: 0, .. } => {
                    let file = Arc::new(self.staging.create_file(&step.path, 0)?);
                    let step = self.next_step;
                    self.next_step += 1;
                    self.close(Current {
                        file,
                        step,
                        hasher: Hasher::default(),
                        written: 0,
                        digest: None,
                    })?;
                }
                StepKind::File { .. } => return Ok(()),
                StepKind::Directory { .. } => {
                    self.staging.create_dir(&step.path)?;
                    self.next_step += 1;
                }
                StepKind::Symlink { .. } | StepKind::Skipped => self.next_step += 1,
            }
        }
        Ok(())
    }

    fn close_if_whole(&mut self) -> Result<(), TransferError> {
        match self.current.take() {
            Some(current) if current.written == self.size_of(current.step) => self.close(current),
            current => {
                self.current = current;
                Ok(())
            }
        }
    }

    /// A file has all its bytes: they must be those that the sender hashed, as soon as that is known.
    fn close(&mut self, current: Current) -> Result<(), TransferError> {
        let found = current.digest.unwrap_or_else(|| current.hasher.finish());
        match &mut self.proof {
            Proof::Known { sums, .. } => {
                let expected = sums[self.next_file];
                self.next_file += 1;
                self.compare(current.step, expected, found)?;
            }
            Proof::Later(before) => before.push((current.step, found)),
        }
        let step = &self.plan.steps[current.step];
        current.file.cut_to(current.written)?;
        if let StepKind::File {
            mtime, executable, ..
        } = step.kind
        {
            if executable && self.options.keep_exec {
                self.lost.executable |= current.file.set_executable()? == Kept::No;
            }
            self.lost.times |= current.file.set_times(mtime.0, mtime.1)? == Kept::No;
        }
        if self.syncs_each() {
            return self.begin_sync(Unsynced::File(current.file));
        }
        if current.written >= CHECKPOINT {
            self.closed.push(current.file);
        }
        Ok(())
    }

    fn compare(&self, step: usize, expected: Digest, found: Digest) -> Result<(), TransferError> {
        if found == expected {
            return Ok(());
        }
        Err(integrity(
            Part::Entry(self.plan.steps[step].path.to_string()),
            Difference::Digest { found, expected },
        ))
    }

    fn size_of(&self, step: usize) -> u64 {
        match self.plan.steps[step].kind {
            StepKind::File { size, .. } => size,
            _ => 0,
        }
    }
}
