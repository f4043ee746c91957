//! Writing the content of a transfer into its staging, each file verified as it is complete.
//!
//! Chunks are written where they belong, in whatever order they come, and each comes with what it tells of the digests of the files in
//! it. What is done is one number: how many chunks from the first on. It is journaled after every chunk, and as durable when a
//! checkpoint, which goes on beside the writing, is over. After a crash of the program the page cache still has everything, so the last
//! number counts; after a reboot only the last durable one does. What came beyond a gap is written again.

mod ahead;
mod files;
mod journal;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use journal::Journal;

use super::{
    Difference, OpenedTransfer, Part, ReceiveOptions, TransferError,
    open::integrity,
    plan::{Plan, StepKind},
    sums::{ChunkSums, Spans},
};
use crate::{
    id::{Digest, FileDigest, Join},
    received::{Kept, ReceivedError, StagedFile, Staging, Syncer, Unsynced},
};

/// Plain bytes between two checkpoints.
const CHECKPOINT: u64 = 32 << 20;
/// Up to so many files and folders are synced one by one; more, by one sync of the file system.
const SYNC_EACH: usize = 64;

/// Files that may be incomplete at the same time. Chunks that come in about their order leave a few.
const MOST_OPEN: usize = 64;

/// Takes plain content and writes it into the staged files.
pub(super) struct Sink {
    staging: Arc<Staging>,
    plan: Arc<Plan>,
    spans: Arc<Spans>,
    options: ReceiveOptions,
    /// The step of each file, by its number.
    steps: Vec<usize>,
    /// The folders and empty files of so many steps are made.
    made: usize,
    /// The files that are not complete, by their numbers.
    open: BTreeMap<usize, Open>,
    /// So many chunks are done, from the first on.
    chunks: u64,
    /// Those that are done after the first that is not.
    beyond: BTreeSet<u64>,
    since_checkpoint: u64,
    syncer: Syncer,
    /// Large files that were closed since the last checkpoint, and not synced by themselves.
    closed: Vec<Arc<StagedFile>>,
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
    Known {
        sums: Vec<FileDigest>,
        journal: Journal,
    },
    /// It is not here yet: the digests of the files that are complete, by their numbers.
    Later(Vec<(usize, FileDigest)>),
}

/// A file that is not complete.
struct Open {
    file: Arc<StagedFile>,
    join: Join,
    /// Bytes that it has yet to get.
    left: u64,
    /// How far space was taken for it.
    allocated: u64,
}

/// Removes `staging` of a transfer with this `content` unless a later run goes on with what is in it.
pub(super) fn discard_unless_begun(staging: &Staging, content: Digest) {
    // What cannot be read is no proof that nothing is there.
    if journal::left(staging, content).is_ok_and(|left| left.chunks == 0) {
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
        let (content, chunk_size) = (manifest.content(), manifest.chunk_size);
        let mut left = journal::left(&staging, content)?;
        let mut sink = Self::begin(staging, plan, chunk_size, options);
        left.chunks = left.chunks.min(manifest.chunks.len() as u64);
        sink.go_on(&mut left)?;
        let journal = Journal::begin(&sink.staging, content, &left)?;
        let sums = transfer.listing.sums.clone();
        sink.proof = Proof::Known { sums, journal };
        Ok(sink)
    }

    /// Begins before the manifest is there. Nothing of it counts until [`prove`](Self::prove) has said so.
    pub(super) fn begin(
        staging: Arc<Staging>,
        plan: Arc<Plan>,
        chunk_size: u32,
        options: ReceiveOptions,
    ) -> Self {
        let sizes = plan.steps.iter().filter_map(|step| match step.kind {
            StepKind::File { size, .. } => Some(size),
            _ => None,
        });
        let spans = Arc::new(Spans::new(sizes, chunk_size));
        let steps = plan.steps.iter().enumerate();
        let files = steps.filter(|(_, step)| matches!(step.kind, StepKind::File { .. }));
        let steps = files.map(|(step, _)| step).collect();
        Self {
            staging,
            plan,
            spans,
            options,
            steps,
            made: 0,
            open: BTreeMap::new(),
            chunks: 0,
            beyond: BTreeSet::new(),
            since_checkpoint: 0,
            syncer: Syncer::default(),
            closed: Vec::new(),
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
        let sums = transfer.listing.sums.clone();
        for (file, digest) in found {
            self.compare(file, sums[file], digest)?;
        }
        let content = transfer.manifest.payload().content();
        let left = journal::Left {
            chunks: self.chunks,
            state: Some(self.state()).filter(|(_, state)| !state.is_empty()),
        };
        let journal = Journal::begin(&self.staging, content, &left)?;
        self.proof = Proof::Known { sums, journal };
        self.take_rest()
    }

    /// Where it is built.
    pub(super) fn staging(&self) -> &Arc<Staging> {
        &self.staging
    }

    /// What is to be built.
    pub(super) fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Where each file is in the content.
    pub(super) fn spans(&self) -> &Arc<Spans> {
        &self.spans
    }

    /// How many chunks are done.
    pub(super) fn chunks_done(&self) -> u64 {
        self.chunks + self.beyond.len() as u64
    }

    /// Whether the chunk at `index` is done.
    pub(super) fn has(&self, index: u64) -> bool {
        index < self.chunks || self.beyond.contains(&index)
    }

    /// Writes the chunk at `index`. `sums` are what it tells, by [`spans`](Self::spans).
    pub(super) fn write_chunk(
        &mut self,
        index: u64,
        plain: &[u8],
        sums: ChunkSums,
    ) -> Result<(), TransferError> {
        if self.has(index) {
            return Ok(());
        }
        let spans = self.spans.clone();
        let expected = spans.offset_of(index + 1) - spans.offset_of(index);
        if plain.len() as u64 != expected {
            let length = plain.len();
            let difference = Difference::Length { length, expected };
            return Err(integrity(Part::ContentChunk(index), difference));
        }
        for (span, (file, piece)) in spans.in_chunk(index, plain.len()).zip(sums.0) {
            let whole = span.size == span.range.len() as u64;
            let mut open = match self.open.remove(&file) {
                Some(open) => open,
                None => self.open_file(file, whole)?,
            };
            open.left = open.left.saturating_sub(span.range.len() as u64);
            self.take_up_to(&mut open, span.start + span.range.len() as u64, span.size)?;
            open.file.write_at(&plain[span.range], span.start)?;
            open.join.add(piece);
            match open.left {
                0 => self.close(file, open)?,
                // In an order in which nothing is ever complete, nothing is gained.
                _ if self.open.len() >= MOST_OPEN => return Err(TransferError::Stopped),
                _ => drop(self.open.insert(file, open)),
            }
        }
        self.note(index, plain.len() as u64)
    }

    /// A chunk is written.
    fn note(&mut self, index: u64, length: u64) -> Result<(), TransferError> {
        self.beyond.insert(index);
        while self.beyond.remove(&self.chunks) {
            self.chunks += 1;
        }
        self.since_checkpoint += length;
        if self.since_checkpoint >= CHECKPOINT {
            self.begin_checkpoint()?;
        }
        let durable = self.syncer.done();
        let Proof::Known { journal, .. } = &mut self.proof else {
            return Ok(());
        };
        if let Some(chunks) = durable {
            journal.record(chunks, true, &[])?;
        }
        journal.record(self.chunks, false, &[])
    }

    /// Makes what was written durable, so that even a reboot continues from here.
    pub(super) fn checkpoint(&mut self) -> Result<(), TransferError> {
        self.begin_checkpoint()?;
        self.finish_syncs()?;
        match &mut self.proof {
            Proof::Known { journal, .. } => journal.record(self.chunks, true, &[]),
            Proof::Later(_) => Ok(()),
        }
    }

    fn begin_checkpoint(&mut self) -> Result<(), TransferError> {
        self.since_checkpoint = 0;
        let (chunks, state) = self.state();
        if let Proof::Known { journal, .. } = &mut self.proof {
            journal.record(chunks, false, &state)?;
        }
        let mut written = std::mem::take(&mut self.closed);
        written.extend(self.open.values().map(|open| open.file.clone()));
        let what = match self.syncs_each() {
            true => Unsynced::Files(written),
            false => Unsynced::Everything(self.staging.clone(), written),
        };
        self.begin_sync(what, Some(chunks))
    }

    fn begin_sync(&mut self, what: Unsynced, mark: Option<u64>) -> Result<(), TransferError> {
        let begun = self.syncer.sync(what, mark);
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
        self.make_before(self.plan.steps.len())?;
        self.finish_syncs()?;
        let end = self.spans.offset_of(u64::MAX);
        if !self.open.is_empty() || self.spans.offset_of(self.chunks) < end {
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

    fn compare(
        &self,
        file: usize,
        expected: FileDigest,
        found: FileDigest,
    ) -> Result<(), TransferError> {
        if found == expected {
            return Ok(());
        }
        Err(self.differs(file, Difference::Digest { found, expected }))
    }

    fn differs(&self, file: usize, difference: Difference) -> TransferError {
        let path = self.plan.steps[self.steps[file]].path.to_string();
        integrity(Part::Entry(path), difference)
    }
}
