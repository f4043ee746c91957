//! How a transfer is sealed, and what would be sent.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    crypto::password::Password,
    manifest::{DEFAULT_CHUNK_SIZE, MAX_CHUNK_SIZE, MAX_CHUNKS, check_chunk_size, table::Entry},
    name::{self, RelPath},
    session::{Error, Event, LeftOut, Mistake, Session},
    store::LEAST_LIFE,
    transfer::{SendOptions, Sources, fitting_chunk_size},
};

/// The chunk size of a stream of unknown length: 65,536 of them are 256 GiB.
const STREAM_CHUNK_SIZE: u32 = 4 << 20;

/// How a transfer is sealed. The defaults are those of the settings.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Sealing {
    /// A password that opens it too.
    pub password: Option<Password>,
    /// Plain bytes of a chunk: a power of two from 64 KiB to 64 MiB. It is doubled until the sources fit.
    pub chunk_size: Option<u32>,
    /// For how long stores keep it; 30 days for what is sent, for ever for what is shared.
    pub lifetime: Option<Lifetime>,
    /// Chunks in flight.
    pub jobs: Option<usize>,
}

/// For how long stores keep a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Lifetime {
    /// For ever.
    Endless,
    /// For so long.
    For(Duration),
}

/// What would be sent.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Planned {
    /// The recipients, as they are called here.
    pub to: Vec<String>,
    /// The peers that would store it for them, if others would.
    pub via: Vec<String>,
    /// Bytes of content; unknown for a stream.
    pub bytes: Option<u64>,
    /// Entries of its table.
    pub entries: u64,
    /// Chunks of content; unknown for a stream.
    pub chunks: Option<u64>,
}

impl Planned {
    pub(super) fn of(
        sources: &Sources,
        options: &SendOptions,
        to: Vec<String>,
        via: Vec<String>,
    ) -> Self {
        let (bytes, entries) = match sources {
            Sources::Tree(tree) => (Some(tree.size), tree.entries.len() as u64),
            Sources::Stream { .. } => (None, 1),
        };
        let chunks = bytes.map(|bytes| bytes.div_ceil(u64::from(options.chunk_size)));
        Self {
            to,
            via,
            bytes,
            entries,
            chunks,
        }
    }
}

impl Sealing {
    /// Fails for a lifetime or a chunk size that no transfer can have.
    pub(crate) fn check(&self) -> Result<(), Mistake> {
        match self.lifetime {
            Some(Lifetime::For(time)) if time <= LEAST_LIFE => Err(Mistake::LifeTooShort),
            _ => self.chunk_size.map_or(Ok(()), |size| {
                check_chunk_size(size).map_err(|_| Mistake::ChunkSize)
            }),
        }
    }

    /// As `sources` need it; to whom is for the caller to say.
    pub(crate) fn options(
        &self,
        session: &Session,
        sources: &Sources,
    ) -> Result<SendOptions, Error> {
        let defaults = SendOptions::default();
        self.check()?;
        let lifetime = match self.lifetime {
            None => defaults.lifetime,
            Some(Lifetime::Endless) => None,
            Some(Lifetime::For(time)) => Some(time),
        };
        Ok(SendOptions {
            password: self.password.clone(),
            chunk_size: self.chunk_size(session, sources)?,
            lifetime,
            jobs: session.jobs(self.jobs),
            ..defaults
        })
    }

    /// The chunk size that was asked for, doubled until `sources` fit. A stream whose end is not known has larger chunks by
    /// default, for it cannot have more of them.
    fn chunk_size(&self, session: &Session, sources: &Sources) -> Result<u32, Error> {
        let size = sources.expected_size();
        let default = match size {
            None => STREAM_CHUNK_SIZE,
            Some(_) => DEFAULT_CHUNK_SIZE,
        };
        let configured = session.config.chunk_size.map(|size| size.bytes());
        let asked = self.chunk_size.map(u64::from).or(configured);
        let chunk_size = asked.unwrap_or(u64::from(default));
        let chunk_size = u32::try_from(chunk_size).map_err(|_| Mistake::ChunkSize)?;
        check_chunk_size(chunk_size).map_err(|_| Mistake::ChunkSize)?;
        Ok(fitting_chunk_size(chunk_size, size)?)
    }
}

/// Tells what of `sources` is not sent, or is sent under another name, and how much a stream may have.
pub(crate) fn tell_sources(session: &Session, sources: &Sources, options: &SendOptions) {
    LeftOut::tell(session, sources.left_out());
    if let Sources::Tree(tree) = sources {
        for (path, name) in &tree.renamed {
            let path = path.to_string_lossy().into_owned();
            let name = name.clone();
            session.tell(Event::Renamed { path, name });
        }
        for link in tree.entries.iter().filter(|entry| leads_out(entry)) {
            session.tell(LeftOut::leads_out(link.path()));
        }
        if tree.filtered > 0 {
            let count = tree.filtered;
            session.tell(Event::Filtered { count });
        }
    }
    if sources.expected_size().is_none() {
        let most = |chunk_size: u32| u64::from(chunk_size) * MAX_CHUNKS as u64;
        session.tell(Event::StreamLimit {
            bytes: most(options.chunk_size),
            most: most(MAX_CHUNK_SIZE),
        });
    }
}

/// Whether it is a link that a recipient leaves out.
fn leads_out(entry: &Entry) -> bool {
    let Entry::Symlink { path, target } = entry else {
        return false;
    };
    RelPath::parse(path).is_ok_and(|path| name::check_link(&path, target).is_err())
}
