//! What happens at a peer, as it happens.

use std::{collections::VecDeque, time::Duration};

use futures::{Stream, stream};
use reqwest::{Method, Response};
use tokio::time::timeout;

use super::{PeerClient, error};
use crate::{
    name::LibraryError,
    store::{ProtocolFault, Remote, StoreError},
    wire::{Arriving, ArrivingList, ServerEvent, media, route},
};

/// The longest silence: a peer says every 15 seconds that it is there.
const SILENCE: Duration = Duration::from_secs(45);
/// The longest line: a list of what is arriving may be long.
const MAX_LINE: usize = 4 << 20;

/// What a peer tells.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum PeerEvent {
    /// It listens: what happens from now on is told.
    Listening,
    /// Something happened.
    Happened(ServerEvent),
    /// What is arriving there now, which only the owner is told.
    Arriving(Vec<Arriving>),
    /// Events were missed: ask for the lists again.
    Missed,
}

/// The stream of a peer, and what was read of it.
struct Reading {
    remote: Remote,
    response: Response,
    /// What of a line came.
    line: Vec<u8>,
    /// The name of the event whose lines are read.
    name: String,
    read: VecDeque<PeerEvent>,
    has_failed: bool,
}

impl PeerClient {
    /// Follows what happens at the peer, as far as our role there shows it; events that this version does not know are passed over. The
    /// stream ends when the peer ends it. Nothing is repeated after that: then ask for the lists again. A peer has at most two
    /// such streams.
    ///
    /// # Errors
    /// Fails, now or later, if the peer cannot be reached, refuses, or is silent.
    pub async fn events(
        &self,
    ) -> Result<impl Stream<Item = Result<PeerEvent, StoreError>> + Send + 'static, StoreError>
    {
        let request = self.request(Method::GET, route::EVENTS);
        let reply = self.send_once(request).await?;
        let reading = Reading {
            remote: self.remote(),
            response: reply.stream(media::EVENTS)?,
            line: Vec::new(),
            name: String::new(),
            read: VecDeque::new(),
            has_failed: false,
        };
        Ok(stream::unfold(reading, |mut reading| async {
            let next = reading.next().await?;
            reading.has_failed = next.is_err();
            Some((next, reading))
        }))
    }
}

impl Reading {
    async fn next(&mut self) -> Option<Result<PeerEvent, StoreError>> {
        loop {
            if let Some(event) = self.read.pop_front() {
                return Some(Ok(event));
            }
            if self.has_failed {
                return None;
            }
            let part = match timeout(SILENCE, self.response.chunk()).await {
                Ok(Ok(part)) => part?,
                Ok(Err(failed)) => return Some(Err(error::classify(self.remote.clone(), &failed))),
                Err(_) => return Some(Err(error::stalled(self.remote.clone()))),
            };
            if let Err(fault) = self.take(&part) {
                let remote = self.remote.clone();
                return Some(Err(StoreError::Protocol { remote, fault }));
            }
        }
    }

    fn take(&mut self, part: &[u8]) -> Result<(), ProtocolFault> {
        for piece in part.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(piece);
            if self.line.len() > MAX_LINE {
                return Err(ProtocolFault::TooLong);
            }
            if self.line.last() == Some(&b'\n') {
                let line = std::mem::take(&mut self.line);
                let line = str::from_utf8(&line).map_err(|_| ProtocolFault::NotUtf8)?;
                self.take_line(line.trim_end_matches(['\r', '\n']))?;
            }
        }
        Ok(())
    }

    fn take_line(&mut self, line: &str) -> Result<(), ProtocolFault> {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            // A comment. Only the first one says anything.
            "" if value == "listening" => self.read.push_back(PeerEvent::Listening),
            "event" => value.clone_into(&mut self.name),
            "data" => match self.name.as_str() {
                "published" | "state" | "notice" => {
                    let event = serde_json::from_str(value);
                    let event = event.map_err(|e| ProtocolFault::Json(LibraryError::new(e)))?;
                    self.read.push_back(PeerEvent::Happened(event));
                }
                "arriving" => {
                    let list = serde_json::from_str::<ArrivingList>(value);
                    let list = list.map_err(|e| ProtocolFault::Json(LibraryError::new(e)))?;
                    self.read.push_back(PeerEvent::Arriving(list.arriving));
                }
                "resync" => self.read.push_back(PeerEvent::Missed),
                _ => {}
            },
            _ => {}
        }
        Ok(())
    }
}
