//! Sends that did not end: what they were, how they go on, and how they are forgotten.

use std::{path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use super::{Lifetime, SendRequest, Sent, walk};
use crate::{
    crypto::password::Password,
    id::TransferId,
    manifest::Timestamp,
    session::{
        Candidate, Error, Event, Mistake, Session,
        which::{begins, if_long_enough},
    },
    store::Pace,
    transfer::{self, Filter, Keys, Sources, Unfinished},
};

/// What names every unfinished send.
const ALL: &str = "all";

/// A send that was begun and not finished. Its paths are of this machine, its names are as they were typed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct UnfinishedSend {
    /// The transfer.
    pub transfer: TransferId,
    /// When it was begun.
    pub created: Timestamp,
    /// When something of it was sealed last.
    pub moved: Timestamp,
    /// Its files and folders, as absolute paths; none of a stream, or if they are not known.
    pub paths: Vec<PathBuf>,
    /// What it is called at the top.
    pub names: Vec<String>,
    /// Its recipients, as they were named.
    pub to: Vec<String>,
    /// Who was to store it for them, as they were named.
    pub via: Vec<String>,
    /// Bytes of its content; unknown for a stream.
    pub total_bytes: Option<u64>,
    /// Those of them that were sealed: all of them if it only misses some of its recipients.
    pub bytes: u64,
    /// Whether a password opens it too, which is needed to go on.
    pub password: bool,
    /// Whether it can be resumed by its id: a stream, or what was begun by another program, is continued only by doing the same
    /// again.
    pub resumable: bool,
    /// Whether a process is at it.
    pub running: bool,
}

/// How to go on with what was not finished.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ResumeRequest {
    /// The password, if it was sealed with one.
    pub password: Option<Password>,
    /// As in [`SendRequest::wait`].
    pub wait: bool,
    /// As in [`SendRequest::pace`].
    pub pace: Option<Pace>,
    /// As in [`Sealing::jobs`](super::Sealing::jobs).
    pub jobs: Option<usize>,
    /// As in [`SendRequest::retry_for`].
    pub retry_for: Option<Duration>,
}

/// What is noted of a send beside its journal.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Note {
    paths: Vec<PathBuf>,
    #[serde(default)]
    stream: Option<String>,
    to: Vec<String>,
    via: Vec<String>,
    keep: bool,
    exclude: Vec<String>,
    git: bool,
    with_keys: bool,
    chunk_size: Option<u32>,
    lifetime: Option<Lifetime>,
    password: bool,
}

impl Note {
    /// The note of a send; none if a path is no text.
    pub(super) fn of(sources: &Sources, request: &SendRequest) -> Option<Vec<u8>> {
        let sealing = &request.sealing;
        let mut note = Self {
            paths: Vec::new(),
            stream: None,
            to: request.to.clone(),
            via: request.via.clone(),
            keep: request.keep,
            exclude: Vec::new(),
            git: false,
            with_keys: false,
            chunk_size: sealing.chunk_size,
            lifetime: sealing.lifetime,
            password: sealing.password.is_some(),
        };
        match sources {
            Sources::Tree(tree) => {
                note.paths = tree.origins.clone();
                note.exclude = tree.filter.exclude.clone();
                note.git = tree.filter.git;
                note.with_keys = tree.filter.keys == Keys::Send;
            }
            Sources::Stream { name, .. } => note.stream = Some(name.clone()),
        }
        serde_json::to_vec(&note).ok()
    }

    fn names(&self) -> Vec<String> {
        let name = |path: &PathBuf| Some(path.file_name()?.to_string_lossy().into_owned());
        let names = self.paths.iter().filter_map(name);
        names.chain(self.stream.clone()).collect()
    }

    fn filter(&self) -> Filter {
        Filter::chosen(&self.exclude, self.git, self.with_keys)
    }
}

impl UnfinishedSend {
    fn of(one: &Unfinished) -> Self {
        let note = serde_json::from_slice::<Note>(&one.note).ok();
        let seconds = one.moved.duration_since(std::time::UNIX_EPOCH);
        Self {
            transfer: one.transfer,
            created: one.created,
            moved: Timestamp::from_unix_seconds(seconds.map_or(0, |time| time.as_secs())),
            names: note.as_ref().map(Note::names).unwrap_or_default(),
            total_bytes: one.size,
            bytes: one.bytes(),
            password: note.as_ref().is_some_and(|note| note.password),
            resumable: note.as_ref().is_some_and(|note| !note.paths.is_empty()),
            running: one.running,
            paths: note
                .as_ref()
                .map(|note| note.paths.clone())
                .unwrap_or_default(),
            to: note
                .as_ref()
                .map(|note| note.to.clone())
                .unwrap_or_default(),
            via: note.map(|note| note.via).unwrap_or_default(),
        }
    }
}

impl Session {
    /// The sends of this home that were begun and not finished, the latest first.
    ///
    /// # Errors
    /// Fails only if the runtime ends.
    pub async fn unfinished(&self) -> Result<Vec<UnfinishedSend>, Error> {
        Ok(self
            .journals()
            .await?
            .iter()
            .map(UnfinishedSend::of)
            .collect())
    }

    /// Those of them that are named: by the id of the transfer or its beginning, by a name at its top, or all of them by `all`.
    ///
    /// # Errors
    /// Fails if none is called so, or several are.
    pub async fn unfinished_named(&self, names: &[String]) -> Result<Vec<UnfinishedSend>, Error> {
        let all = self.journals().await?;
        let named = named(&all, names)?;
        Ok(named.into_iter().map(UnfinishedSend::of).collect())
    }

    /// Goes on with an unfinished send: to the same recipients, with the same id, and only what is missing there.
    ///
    /// # Errors
    /// Fails if it is not there any more or cannot be resumed by its id, and as [`Self::send`] does.
    pub async fn resume(
        &self,
        transfer: TransferId,
        request: &ResumeRequest,
    ) -> Result<Sent, Error> {
        let text = transfer.to_string();
        let journals = self.journals().await?;
        let one = journals.iter().find(|one| one.transfer == transfer);
        let one = one.ok_or_else(|| Error::NothingUnfinished { text: text.clone() })?;
        let note = serde_json::from_slice::<Note>(&one.note).ok();
        let note = note.filter(|note| !note.paths.is_empty());
        let note = note.ok_or(Mistake::ResumedByRepeating { text })?;
        if note.password && request.password.is_none() {
            return Err(Mistake::ResumeNeedsPassword.into());
        }
        let (home, config) = (self.home.clone(), self.config.clone());
        let (paths, filter) = (note.paths.clone(), note.filter());
        let walked = tokio::task::spawn_blocking(move || walk(&home, &config, &paths, filter));
        let sources = walked.await??;
        let mut send = SendRequest::to(note.to);
        (send.via, send.keep, send.wait) = (note.via, note.keep, request.wait);
        send.sealing.password = request.password.clone();
        send.sealing.chunk_size = note.chunk_size;
        send.sealing.lifetime = note.lifetime;
        send.sealing.jobs = request.jobs;
        (send.pace, send.retry_for) = (request.pace.clone(), request.retry_for);
        self.send(sources, &send).await
    }

    /// Forgets unfinished sends, which are named as in [`Self::unfinished_named`]. What was stored of them goes where it is, after
    /// a day. Each is told as [`Event::SendDropped`].
    ///
    /// # Errors
    /// Fails if none is called so, several are, or a process is at one.
    pub async fn drop_unfinished(&self, names: &[String]) -> Result<Vec<UnfinishedSend>, Error> {
        let all = self.journals().await?;
        let mut dropped = Vec::new();
        for one in named(&all, names)? {
            let forgotten = one.clone();
            tokio::task::spawn_blocking(move || forgotten.forget()).await??;
            let one = UnfinishedSend::of(one);
            self.tell(Event::SendDropped(Box::new(one.clone())));
            dropped.push(one);
        }
        Ok(dropped)
    }

    /// Tells how to go on with what this failure has left, if anything is.
    pub(super) async fn tell_unfinished(&self, note: Option<&[u8]>) {
        let journals = self.journals().await.unwrap_or_default();
        let left = journals.iter().find(|one| Some(&*one.note) == note);
        if let Some(left) = left {
            self.tell(Event::Unfinished(Box::new(UnfinishedSend::of(left))));
        }
    }

    async fn journals(&self) -> Result<Vec<Unfinished>, Error> {
        let folder = self.home.journals();
        Ok(tokio::task::spawn_blocking(move || transfer::unfinished(&folder)).await?)
    }
}

fn named<'a>(all: &'a [Unfinished], names: &[String]) -> Result<Vec<&'a Unfinished>, Error> {
    if names.iter().any(|name| name == ALL) {
        return Ok(all.iter().collect());
    }
    let mut found = Vec::<&Unfinished>::new();
    for text in names {
        let mut matching: Vec<_> = all
            .iter()
            .filter(|one| begins(one.transfer, text))
            .collect();
        if matching.is_empty() {
            let is_called = |one: &&Unfinished| UnfinishedSend::of(one).names.contains(text);
            matching = all.iter().filter(is_called).collect();
        }
        match *matching.as_slice() {
            [one] => found.push(one),
            [] => {
                let text = text.clone();
                return Err(if_long_enough(&text.clone(), || Error::NothingUnfinished {
                    text,
                }));
            }
            ref several => {
                let candidates = several.iter().map(|one| candidate(one)).collect();
                return Err(Mistake::ambiguous(text, candidates).into());
            }
        }
    }
    found.sort_by_key(|one| one.transfer);
    found.dedup_by_key(|one| one.transfer);
    Ok(found)
}

/// What tells it from others that are not finished.
fn candidate(one: &Unfinished) -> Candidate {
    let one = UnfinishedSend::of(one);
    let whom = if one.to.is_empty() { &one.via } else { &one.to };
    Candidate {
        id: one.transfer.to_string(),
        at: one.created,
        bytes: one.total_bytes,
        who: format!("to {}", whom.join(", ")),
        names: one.names,
    }
}
