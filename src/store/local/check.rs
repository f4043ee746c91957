//! Verifying a store: everything in its place, and with `read_data` every byte.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::{Folder, Inner, LocalStore, StoreError, io};
use crate::{
    id::{ChunkId, ManifestId},
    manifest::{MAX_SEALED_CHUNK, MIN_SEALED_CHUNK, Manifest, SignedManifest},
};

/// What a check has found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckReport {
    /// Chunks that are as they must be.
    pub chunks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Manifests that are as they must be.
    pub manifests: u64,
    /// What is not.
    pub problems: Vec<Problem>,
}

/// Something that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Where, within the store.
    pub path: String,
    /// What is wrong, and what was done.
    pub what: String,
}

/// What is in a store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Chunks.
    pub chunks: u64,
    /// Bytes of chunks and manifests.
    pub bytes: u64,
    /// Manifests.
    pub manifests: u64,
}

impl LocalStore {
    /// Verifies the store. Bad chunks and manifests are set aside, unless it was opened only to read. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn check(&self, read_data: bool) -> Result<CheckReport, StoreError> {
        self.check_with_progress(read_data, &|_| {})
    }

    /// The same, telling `progress` how many bytes of chunks were looked at so far.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn check_with_progress(
        &self,
        read_data: bool,
        progress: &dyn Fn(u64),
    ) -> Result<CheckReport, StoreError> {
        let (mut report, mut bad) = (CheckReport::default(), HashSet::new());
        for number in 0..=u8::MAX {
            self.inner
                .check_shard(number, read_data, progress, (&mut report, &mut bad))?;
        }
        self.inner.check_manifests(&mut report, &mut bad)?;
        Ok(report)
    }

    /// Counts what is in the store. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn usage(&self) -> Result<Usage, StoreError> {
        self.inner.usage()
    }
}

impl Inner {
    pub(super) fn usage(&self) -> Result<Usage, StoreError> {
        let mut usage = Usage::default();
        for shard in &self.shards {
            let (count, bytes) = count(shard)?;
            usage.chunks += count;
            usage.bytes += bytes;
        }
        let (count, bytes) = count(&self.manifests)?;
        usage.manifests = count;
        usage.bytes += bytes;
        Ok(usage)
    }

    fn check_shard(
        &self,
        number: u8,
        read_data: bool,
        progress: &dyn Fn(u64),
        (report, bad): (&mut CheckReport, &mut HashSet<ChunkId>),
    ) -> Result<(), StoreError> {
        let shard = &self.shards[usize::from(number)];
        for name in shard.names().map_err(|e| io(shard.path(), e))? {
            let path = format!("data/{number:02x}/{name}");
            let id = name.parse::<ChunkId>().ok();
            let Some(id) = id.filter(|id| id.as_bytes()[0] == number) else {
                report.problem(path, "not a chunk; left alone");
                continue;
            };
            match self.check_chunk(id, read_data)? {
                Ok(length) => {
                    report.chunks += 1;
                    report.bytes += length;
                    progress(report.bytes);
                }
                Err(what) => {
                    bad.insert(id);
                    report.problem(path, &what);
                }
            }
        }
        Ok(())
    }

    /// The length of a good chunk, or what is wrong with it and what was done. One that went meanwhile is no problem of
    /// its own.
    fn check_chunk(&self, id: ChunkId, read_data: bool) -> Result<Result<u64, String>, StoreError> {
        let (shard, name) = (self.shard(id), id.to_string());
        let failed = |e| io(&shard.path().join(&name), e);
        let possible = MIN_SEALED_CHUNK as u64..=MAX_SEALED_CHUNK as u64;
        let length = shard.length(&name).map_err(failed)?;
        let what = match length {
            None if !shard.has(&name) => return Ok(Ok(0)),
            None => "not a regular file",
            Some(length) if !possible.contains(&length) => "of impossible length",
            Some(length) if !read_data => return Ok(Ok(length)),
            Some(length) => {
                if self.read_good_chunk(id)?.is_some() {
                    return Ok(Ok(length));
                }
                "damaged"
            }
        };
        if self.set_aside_bad_chunk(id)?.is_some() {
            return Ok(Ok(length.unwrap_or(0)));
        }
        Ok(Err(self.with_remedy(what)))
    }

    fn with_remedy(&self, what: &str) -> String {
        if self.writable().is_ok() {
            format!("{what}; set aside, heals by being put again")
        } else {
            format!("{what}; left alone, the store is open only to read")
        }
    }

    /// What is `bad` and could not be set aside is as good as missing.
    fn check_manifests(
        &self,
        report: &mut CheckReport,
        bad: &mut HashSet<ChunkId>,
    ) -> Result<(), StoreError> {
        let folder = &self.manifests;
        for name in folder.names().map_err(|e| io(folder.path(), e))? {
            let path = format!("manifests/{name}");
            let Ok(id) = name.parse::<ManifestId>() else {
                report.problem(path, "not a manifest; left alone");
                continue;
            };
            let envelope = match self.read_good_manifest(id)? {
                Some(good) => good,
                // Let go since it was listed.
                None if !folder.has(&name) => continue,
                None => match self.set_aside_bad_manifest(id)? {
                    Some(good) => good,
                    None => {
                        report.problem(path, &self.with_remedy("damaged"));
                        continue;
                    }
                },
            };
            let Ok(manifest) = SignedManifest::parse(envelope) else {
                report.problem(path, "not a manifest that this version reads; left alone");
                continue;
            };
            let chunks: Vec<_> = manifest.payload().all_chunks().collect();
            self.check_lengths(manifest.payload(), report, bad)?;
            let mut lost: HashSet<_> = self.missing_chunks(&chunks)?.into_iter().collect();
            lost.extend(chunks.iter().filter(|id| bad.contains(*id)));
            match lost.len() {
                0 => report.manifests += 1,
                n => report.problem(
                    path,
                    &format!("{n} of its chunks are missing; send it again"),
                ),
            }
        }
        Ok(())
    }
}

impl Inner {
    /// Whether the chunks of the content are as long as the manifest says; a cut one is seen without reading it.
    fn check_lengths(
        &self,
        payload: &Manifest,
        report: &mut CheckReport,
        bad: &mut HashSet<ChunkId>,
    ) -> Result<(), StoreError> {
        let (size, chunk_size) = (payload.size, u64::from(payload.chunk_size));
        for (index, id) in (0..).zip(&payload.chunks) {
            let left = size.saturating_sub(index * chunk_size);
            // Beyond its one plain byte, the shortest sealed chunk is what sealing adds.
            let expected = left.min(chunk_size) + MIN_SEALED_CHUNK as u64 - 1;
            let (shard, name) = (self.shard(*id), id.to_string());
            let failed = |e| io(&shard.path().join(&name), e);
            let length = shard.length(&name).map_err(failed)?;
            let Some(length) = length.filter(|length| *length != expected) else {
                continue;
            };
            if bad.contains(id) || self.set_aside_bad_chunk(*id)?.is_some() {
                continue;
            }
            bad.insert(*id);
            report.chunks = report.chunks.saturating_sub(1);
            report.bytes = report.bytes.saturating_sub(length);
            let path = format!("data/{:02x}/{name}", id.as_bytes()[0]);
            report.problem(path, &self.with_remedy("of wrong length"));
        }
        Ok(())
    }
}

impl CheckReport {
    fn problem(&mut self, path: String, what: &str) {
        self.problems.push(Problem {
            path,
            what: what.to_owned(),
        });
    }
}

fn count(folder: &Folder) -> Result<(u64, u64), StoreError> {
    let names = folder.names().map_err(|e| io(folder.path(), e))?;
    let lengths = names
        .iter()
        .filter_map(|name| folder.length(name).ok().flatten());
    Ok(lengths.fold((0, 0), |(count, bytes), length| (count + 1, bytes + length)))
}
