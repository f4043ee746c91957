//! How far a transfer is.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use super::{Event, Reporter};
use crate::transfer::{self, TransferEvent};

/// How often a transfer tells its progress.
const PERIOD: Duration = Duration::from_millis(250);

/// What a transfer does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Work {
    /// It is sent or shared.
    #[default]
    Sending,
    /// It is received or opened.
    Receiving,
    /// It is sealed into a folder.
    Sealing,
}

/// How far a transfer is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// What it does.
    pub work: Work,
    /// Bytes of content that are done.
    pub bytes: u64,
    /// Those of them that were moved by this run: the others were there already.
    #[serde(default)]
    pub moved_bytes: u64,
    /// Bytes of content in all; unknown for a stream.
    pub total_bytes: Option<u64>,
    /// Chunks of content in all; unknown for a stream.
    pub total_chunks: Option<u64>,
    /// Chunks of content that were there when it began.
    pub already_chunks: u64,
    /// Their bytes.
    pub already_bytes: u64,
    /// Whether every chunk is done and durable.
    pub finished: bool,
}

impl Progress {
    /// Whether the transfer has just begun.
    pub fn is_new(&self) -> bool {
        self.bytes == 0 && !self.finished
    }
}

/// Tells a session's reporter how a transfer goes.
pub(crate) struct Told {
    reporter: Arc<dyn Reporter>,
    state: Mutex<(Option<Instant>, Progress)>,
}

impl Told {
    pub(crate) fn to(reporter: Arc<dyn Reporter>, work: Work) -> Self {
        let now = Progress {
            work,
            ..Progress::default()
        };
        let state = Mutex::new((None, now));
        Self { reporter, state }
    }
}

impl transfer::Progress for Told {
    fn event(&self, event: TransferEvent) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (told, now) = &mut *state;
        match event {
            TransferEvent::Started {
                total_bytes,
                total_chunks,
                already_chunks,
                already_bytes,
            } => {
                *now = Progress {
                    total_bytes,
                    total_chunks,
                    already_chunks,
                    already_bytes,
                    work: now.work,
                    ..Progress::default()
                };
                *told = None;
            }
            TransferEvent::Advanced { bytes, already } => {
                now.bytes += bytes;
                now.moved_bytes += if already { 0 } else { bytes };
            }
            TransferEvent::Finished => now.finished = true,
        }
        if now.finished || told.is_none_or(|told| told.elapsed() >= PERIOD) {
            *told = Some(Instant::now());
            self.reporter.tell(&Event::Progress(*now));
        }
    }
}
