//! Receiving: fetch, open and write the content of an opened transfer, then publish its files under their final names.
//!
//! A few chunks are fetched, opened and hashed at once; one thread writes them in order. Nothing gets a final name before every
//! file has the digest that its sender signed.

use std::{io::Write, path::PathBuf, sync::Arc};

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, future::BoxFuture, stream};
use tokio::sync::mpsc;

use super::{
    Arriving, Difference, OpenedTransfer, Part, Progress, TransferError, TransferEvent, blocking,
    open::integrity,
    plan::Plan,
    sink::{Lost, Sink, discard_unless_begun},
    sums::{ChunkSums, Spans, Sums},
    there::{each_identical, identical},
};
use crate::{
    id::{FileDigest, PeerId, TransferId},
    private,
    received::{self, Layout, NewNames, ReceivedError, Staging},
    store::Store,
};

/// What a message is called as a file.
pub const MESSAGE_NAME: &str = "message.txt";
/// The longest message that is shown, in bytes.
pub const MAX_MESSAGE: u64 = 8 << 10;

/// How to receive.
#[derive(Debug, Clone, Copy)]
pub struct ReceiveOptions {
    /// Chunks in flight.
    pub jobs: usize,
    /// Give files that were executable for their sender the executable bit.
    pub keep_exec: bool,
}

impl Default for ReceiveOptions {
    fn default() -> Self {
        Self {
            jobs: 4,
            keep_exec: false,
        }
    }
}

/// What a receive has written.
#[derive(Debug, Clone, Default)]
pub struct ReceivedFiles {
    /// The final names of what the transfer has at its top.
    pub paths: Vec<PathBuf>,
    /// The BLAKE3 digest of each of them that is a file.
    pub blake3: Vec<Option<FileDigest>>,
    /// Whether all of it was there already, identical, so that nothing was written.
    pub already_there: bool,
    /// Those of the paths that were there already, identical, while others were not.
    pub identical: Vec<PathBuf>,
    /// Links that were not made, because they are absolute or escape. Remote text.
    pub skipped_links: Vec<String>,
    /// Links that were not made, because the file system there has none. Remote text.
    pub unmade_links: Vec<String>,
    /// What the file system could not keep.
    pub lost: Lost,
    /// What has a number in its name, because another entry has the name without it.
    pub numbered: NewNames,
    /// What has another name here, because its own cannot be written everywhere or is harmful.
    pub renamed: NewNames,
    /// Bytes of content.
    pub size: u64,
    /// Content chunks that an earlier, interrupted run had written.
    pub already_chunks: u64,
}

/// Receives `transfer` from `store` into `root`. When it gives `Ok`, the files are durable under their final names.
/// Dropping the future cuts it at once; what was written is continued by the same call.
///
/// # Errors
/// Every [`TransferError`] of fetching, checking and writing. What was written stays staged, and the same call continues
/// it; unless it is not what the sender signed, or not a chunk of it is there: then nothing of it stays.
pub async fn receive(
    store: &dyn Store,
    transfer: &Arc<OpenedTransfer>,
    root: &Arc<received::Received>,
    options: ReceiveOptions,
    progress: &dyn Progress,
) -> Result<ReceivedFiles, TransferError> {
    receive_rest(store, transfer, root, None, options, progress).await
}

/// The same for a transfer of which something may have been opened while it arrived.
///
/// # Errors
/// Those of [`receive`].
pub async fn receive_rest(
    store: &dyn Store,
    transfer: &Arc<OpenedTransfer>,
    root: &Arc<received::Received>,
    arriving: Option<Arriving>,
    options: ReceiveOptions,
    progress: &dyn Progress,
) -> Result<ReceivedFiles, TransferError> {
    let prepared = {
        let (transfer, root) = (transfer.clone(), root.clone());
        blocking(move || Prepared::new(&transfer, &root, arriving)).await?
    };
    let (begun, staging, plan) = match prepared {
        Prepared::Done(received) => return Ok(received),
        Prepared::Begun(sink) => {
            let (staging, plan) = (sink.staging().clone(), sink.plan().clone());
            (Some(sink), staging, plan)
        }
        Prepared::Staged(staging, plan) => (None, staging, plan),
    };
    let received = ReceivedFiles::of(&plan, transfer);
    let resumed = begun.is_some() || staging.has_journal();
    let sink = {
        let (staging, plan, transfer) = (staging.clone(), plan.clone(), transfer.clone());
        move || match begun {
            Some(mut begun) => begun.prove(&transfer).map(|()| *begun),
            None => Sink::open(staging, plan, &transfer, options),
        }
    };
    let mut filled = fill(store, transfer, sink, options.jobs, progress).await;
    if resumed && matches!(filled, Err(TransferError::Integrity { .. })) {
        // What an earlier run left there does not have its digest: it counts for nothing.
        let (staging, plan, opened) = (staging.clone(), plan.clone(), transfer.clone());
        let anew = move || {
            staging.clear()?;
            Sink::open(staging, plan, &opened, options)
        };
        filled = fill(store, transfer, anew, options.jobs, progress).await;
    }
    if let Err(error) = &filled {
        let (staging, opened) = (staging.clone(), transfer.clone());
        // What no later run can make better, and is never released, must not take the disk.
        let is_final = matches!(
            error,
            TransferError::Integrity { .. }
                | TransferError::Crypto(_)
                | TransferError::Received(ReceivedError::OneName { .. })
        );
        blocking(move || match is_final {
            true => staging.discard(),
            false => discard_unless_begun(&staging, opened.manifest.payload().content()),
        })
        .await;
    }
    let (already_chunks, lost) = filled?;
    let (paths, identical) = {
        let (transfer, root) = (transfer.clone(), root.clone());
        blocking(move || publish(&staging, &plan, &transfer, &root)).await?
    };
    progress.event(TransferEvent::Finished);
    Ok(ReceivedFiles {
        paths,
        identical,
        lost,
        already_chunks,
        ..received
    })
}

/// Gives what is staged its final names, but for what is there already: a folder that is sent again beside a file that has
/// changed does not come twice. Gives all paths, and those of what was there.
fn publish(
    staging: &Staging,
    plan: &Plan,
    transfer: &OpenedTransfer,
    root: &received::Received,
) -> Result<(Vec<PathBuf>, Vec<PathBuf>), TransferError> {
    let there = each_identical(plan, &transfer.listing.sums, root)?;
    let tops = plan.tops().zip(&there);
    let new = tops.filter(|(_, there)| there.is_none());
    let new: Vec<_> = new.map(|(top, _)| top.clone()).collect();
    let mut published = staging.publish(&new)?.into_iter();
    let paths = there.iter().cloned();
    let paths = paths.filter_map(|path| path.or_else(|| published.next()));
    Ok((paths.collect(), there.iter().flatten().cloned().collect()))
}

impl ReceivedFiles {
    /// With what is to be told of `plan`, whether or not something is written.
    fn of(plan: &Plan, transfer: &OpenedTransfer) -> Self {
        Self {
            blake3: plan.top_sums(&transfer.listing.sums),
            skipped_links: plan.skipped_links.clone(),
            unmade_links: plan.unmade_links.clone(),
            numbered: plan.numbered.clone(),
            renamed: plan.renamed.clone(),
            size: transfer.manifest.payload().size,
            ..Self::default()
        }
    }
}

/// The text of a transfer that is a message: one file called [`MESSAGE_NAME`] of at most [`MAX_MESSAGE`] bytes. Foreign
/// text: escape it before showing it.
pub async fn message(transfer: &OpenedTransfer, received: &ReceivedFiles) -> Option<String> {
    let is_message = match transfer.listing.entries.as_slice() {
        [entry] => entry.path() == MESSAGE_NAME && transfer.file_size(entry) <= MAX_MESSAGE,
        _ => false,
    };
    let path = received.paths.first().filter(|_| is_message)?.clone();
    let text = blocking(move || private::read(&path)).await.ok()?;
    String::from_utf8(text).ok()
}

/// Writes the one file of `transfer` to `out`, chunk by verified chunk.
///
/// # Errors
/// [`TransferError::NotOneFile`]; [`TransferError::Integrity`] if the end shows that the whole is not what was signed:
/// then what was written must not be used.
pub async fn stream_content(
    store: &dyn Store,
    transfer: &Arc<OpenedTransfer>,
    jobs: usize,
    out: &mut (dyn Write + Send),
    progress: &dyn Progress,
) -> Result<u64, TransferError> {
    let entries = transfer.listing.entries.len();
    let &[expected] = transfer.listing.sums.as_slice() else {
        return Err(TransferError::NotOneFile { entries });
    };
    progress.event(started(transfer, 0));
    let (sums, spans) = (Sums::new(transfer.spans()), Arc::new(transfer.spans()));
    let all = 0..transfer.manifest.payload().chunks.len() as u64;
    let mut chunks = opened_chunks(store, transfer, &spans, all, jobs);
    while let Some((_, plain, told)) = chunks.try_next().await? {
        out.write_all(&plain).map_err(TransferError::Output)?;
        sums.add(told);
        progress.event(TransferEvent::Advanced {
            bytes: plain.len() as u64,
            already: false,
        });
    }
    out.flush().map_err(TransferError::Output)?;
    let size = transfer.manifest.payload().size;
    let found = sums.finish(size).and_then(|found| found.first().copied());
    let found = found.ok_or(TransferError::Stopped)?;
    if found != expected {
        return Err(integrity(
            Part::File,
            Difference::Digest { found, expected },
        ));
    }
    progress.event(TransferEvent::Finished);
    Ok(size)
}

enum Prepared {
    /// All of it is there, or an earlier run came as far as the final names.
    Done(ReceivedFiles),
    /// It was begun while it arrived.
    Begun(Box<Sink>),
    Staged(Arc<Staging>, Arc<Plan>),
}

impl Prepared {
    /// Names, then free space, before the first content byte.
    fn new(
        transfer: &OpenedTransfer,
        root: &received::Received,
        arriving: Option<Arriving>,
    ) -> Result<Self, TransferError> {
        let begun = arriving
            .map(|arriving| arriving.into_sink(transfer))
            .transpose()?;
        let manifest = transfer.manifest.payload();
        let done = |plan: &Plan, paths, already_there| {
            Ok(Self::Done(ReceivedFiles {
                paths,
                already_there,
                ..ReceivedFiles::of(plan, transfer)
            }))
        };
        if let Some(sink) = begun.flatten() {
            let same = identical(sink.plan(), &transfer.listing.sums, root)?;
            let Some(paths) = same else {
                return Ok(Self::Begun(Box::new(sink)));
            };
            sink.staging().discard();
            return done(sink.plan(), paths, true);
        }
        // Before anything is made on the disk: a table may be hostile.
        let (entries, size) = (&transfer.listing.entries, |e: &_| transfer.file_size(e));
        let plan = Plan::new(entries, Layout::default(), manifest.created, size)?;
        let staging = root.stage(&staging_key(manifest.transfer_id, manifest.sender))?;
        if let Some(paths) = staging.finish_publishing()? {
            return done(&plan, paths, false);
        }
        let staging = Arc::new(staging);
        let begun = Self::begin(transfer, root, plan, staging.clone());
        begun.inspect_err(|_| discard_unless_begun(&staging, manifest.content()))
    }

    /// Whether all of it is there, and if not, whether there is room for the rest.
    fn begin(
        transfer: &OpenedTransfer,
        root: &received::Received,
        plan: Plan,
        staging: Arc<Staging>,
    ) -> Result<Self, TransferError> {
        let (manifest, listing) = (transfer.manifest.payload(), &transfer.listing);
        let size = |entry: &_| transfer.file_size(entry);
        let plan = plan.for_staging(&staging, &listing.entries, manifest.created, size)?;
        if let Some(paths) = identical(&plan, &listing.sums, root)? {
            staging.discard();
            return Ok(Self::Done(ReceivedFiles {
                paths,
                already_there: true,
                ..ReceivedFiles::of(&plan, transfer)
            }));
        }
        if !staging.has_journal() {
            // Without a journal nothing counts of what may be there.
            staging.clear()?;
        }
        staging.check_room(manifest.size, plan.made())?;
        Ok(Self::Staged(staging, Arc::new(plan)))
    }
}

/// What the staging of a transfer is called. All of the sender's id is in it: a peer whose id begins alike shares nothing.
pub(super) fn staging_key(transfer: TransferId, sender: PeerId) -> String {
    format!("{transfer}-{sender}")
}

/// Fetches and writes what an earlier run has not. Gives how many chunks it had, and what the file system could not keep.
async fn fill(
    store: &dyn Store,
    transfer: &Arc<OpenedTransfer>,
    sink: impl FnOnce() -> Result<Sink, TransferError> + Send + 'static,
    jobs: usize,
    progress: &dyn Progress,
) -> Result<(u64, Lost), TransferError> {
    let sink = blocking(sink).await?;
    let already = sink.chunks_done();
    let begun = started(transfer, already);
    progress.event(begun);
    if let TransferEvent::Started {
        already_bytes: bytes @ 1..,
        ..
    } = begun
    {
        progress.event(TransferEvent::Advanced {
            bytes,
            already: true,
        });
    }
    let (sender, receiver) = mpsc::channel(1);
    let spans = sink.spans().clone();
    let all = 0..transfer.manifest.payload().chunks.len() as u64;
    let lacking: Vec<_> = all.filter(|index| !sink.has(*index)).collect();
    let writing = blocking(move || write(sink, receiver));
    let fetching = async {
        // Dropped at the end, so that the writer knows that it is one.
        let sender = sender;
        let mut chunks = opened_chunks(store, transfer, &spans, lacking, jobs);
        while let Some(chunk) = chunks.try_next().await? {
            let bytes = chunk.1.len() as u64;
            if sender.send(Some(chunk)).await.is_err() {
                return Err(TransferError::Stopped);
            }
            progress.event(TransferEvent::Advanced {
                bytes,
                already: false,
            });
        }
        let _ = sender.send(None).await;
        Ok(())
    };
    // The writer always ends: it checkpoints what it has also when the fetching failed. Its error says more.
    match futures::future::join(fetching, writing).await {
        (Ok(()), Ok(lost)) => Ok((already, lost)),
        (Err(fetching), Ok(_)) => Err(fetching),
        (_, Err(writing)) => Err(writing),
    }
}

/// A content chunk that was opened: its index, its plain bytes, and what it tells of the digests of files.
type Opened = (u64, Bytes, ChunkSums);

/// Writes what comes. `None` says that all came; without it, what came is made durable and kept.
fn write(
    mut sink: Sink,
    mut chunks: mpsc::Receiver<Option<Opened>>,
) -> Result<Lost, TransferError> {
    while let Some(chunk) = chunks.blocking_recv() {
        let Some((index, plain, sums)) = chunk else {
            return sink.finish();
        };
        sink.write_chunk(index, &plain, sums)?;
    }
    sink.checkpoint().map(|()| Lost::default())
}

/// The content chunks at `indices`, in their order, a few chunks ahead.
fn opened_chunks<'a>(
    store: &'a dyn Store,
    transfer: &'a Arc<OpenedTransfer>,
    spans: &'a Arc<Spans>,
    indices: impl IntoIterator<Item = u64, IntoIter: Send + 'a>,
    jobs: usize,
) -> impl stream::Stream<Item = Result<Opened, TransferError>> + Unpin + 'a {
    let ids = &transfer.manifest.payload().chunks;
    let at = |index: u64| ids.get(usize::try_from(index).ok()?);
    let rest = indices
        .into_iter()
        .filter_map(move |index| Some((index, at(index)?)));
    // Boxed, because the compiler cannot see that a buffered stream of borrowing futures is `Send`.
    let fetched = rest.map(
        move |(index, id)| -> BoxFuture<'a, Result<Opened, TransferError>> {
            Box::pin(async move {
                let sealed = store.get_chunk(*id).await?;
                let (transfer, spans) = (transfer.clone(), spans.clone());
                blocking(move || {
                    let plain = transfer.open_chunk(index, sealed)?;
                    let sums = spans.sum(transfer.position(index), &plain);
                    Ok((index, plain, sums))
                })
                .await
            })
        },
    );
    stream::iter(fetched).buffered(jobs.max(1))
}

fn started(transfer: &OpenedTransfer, already_chunks: u64) -> TransferEvent {
    let manifest = transfer.manifest.payload();
    TransferEvent::Started {
        total_bytes: Some(manifest.size),
        total_chunks: Some(manifest.chunks.len() as u64),
        already_chunks,
        already_bytes: (already_chunks * u64::from(manifest.chunk_size)).min(manifest.size),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn senders_whose_ids_begin_alike_have_stagings_of_their_own() {
        let transfer = TransferId::from_bytes([1; 16]);
        let key = |last: u8| {
            let mut id = [7; 32];
            id[31] = last;
            staging_key(transfer, PeerId::from_bytes(id))
        };
        assert_eq!(key(1), key(1));
        assert_ne!(key(1), key(2));
    }
}
