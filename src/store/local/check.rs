//! Verifying a store: everything in its place, and with `read_data` every byte.

use serde::Serialize;

use super::{Folder, Inner, LocalStore, StoreError, io};
use crate::{
    id::{ChunkId, ManifestId},
    manifest::{MAX_ENVELOPE, MAX_SEALED_CHUNK, MIN_SEALED_CHUNK, SignedManifest},
};

/// What a check has found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Where, within the store.
    pub path: String,
    /// What is wrong, and what was done.
    pub what: String,
}

/// What is in a store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
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
        let mut report = CheckReport::default();
        for shard in &self.inner.shards {
            self.inner.check_shard(shard, read_data, &mut report)?;
        }
        self.inner.check_manifests(&mut report)?;
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
        shard: &Folder,
        read_data: bool,
        report: &mut CheckReport,
    ) -> Result<(), StoreError> {
        let prefix = shard
            .path()
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        for name in shard.names().map_err(|e| io(shard.path(), e))? {
            let path = format!("data/{prefix}/{name}");
            let foreign = name.parse::<ChunkId>().is_err() || !name.starts_with(&prefix);
            if foreign {
                report.problem(path, "not a chunk; left alone");
                continue;
            }
            match self.check_chunk_file(shard, &name, read_data)? {
                Ok(length) => {
                    report.chunks += 1;
                    report.bytes += length;
                }
                Err(what) => {
                    self.set_aside(shard, &name)?;
                    report.problem(path, what);
                }
            }
        }
        Ok(())
    }

    /// The length of a good chunk, or what is wrong with it.
    fn check_chunk_file(
        &self,
        shard: &Folder,
        name: &str,
        read_data: bool,
    ) -> Result<Result<u64, &'static str>, StoreError> {
        let failed = |e| io(&shard.path().join(name), e);
        let possible = MIN_SEALED_CHUNK as u64..=MAX_SEALED_CHUNK as u64;
        match shard.length(name).map_err(failed)? {
            None => Ok(Err("not a regular file; set aside")),
            Some(length) if !possible.contains(&length) => {
                Ok(Err("of impossible length; set aside"))
            }
            Some(length) if !read_data => Ok(Ok(length)),
            Some(length) => {
                let bytes = shard.read(name, MAX_SEALED_CHUNK).map_err(failed)?;
                let good = bytes.is_some_and(|bytes| ChunkId::of(&bytes).to_string() == name);
                Ok(if good {
                    Ok(length)
                } else {
                    Err("damaged; set aside, heals by being put again")
                })
            }
        }
    }

    fn check_manifests(&self, report: &mut CheckReport) -> Result<(), StoreError> {
        for name in self
            .manifests
            .names()
            .map_err(|e| io(self.manifests.path(), e))?
        {
            let path = format!("manifests/{name}");
            let Ok(id) = name.parse::<ManifestId>() else {
                report.problem(path, "not a manifest; left alone");
                continue;
            };
            let bytes = self
                .manifests
                .read(&name, MAX_ENVELOPE)
                .map_err(|e| io(self.manifests.path(), e))?;
            let manifest = bytes
                .and_then(|bytes| SignedManifest::parse(bytes).ok())
                .filter(|m| m.id() == id);
            let Some(manifest) = manifest else {
                self.set_aside(&self.manifests, &name)?;
                self.forget(id);
                report.problem(path, "damaged; set aside");
                continue;
            };
            match self
                .missing_chunks(&manifest.payload().all_chunks().collect::<Vec<_>>())?
                .len()
            {
                0 => report.manifests += 1,
                missing => report.problem(
                    path,
                    &format!("{missing} of its chunks are missing; send it again"),
                ),
            }
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
