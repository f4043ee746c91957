//! From a home and its settings to a peer that serves, and what such a peer tells.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use super::{Error, Home, store_options};
use crate::{
    address::DEFAULT_LISTEN,
    config::{
        Config, InboxSetting,
        units::{DurationText, SizeText},
    },
    discover::Discovery,
    id::{ManifestId, PeerId},
    manifest::Signer as _,
    peer::{
        ASK_EVERY, Arrival, InboxMode, InboxOptions, InboxPolicy, InboxRule, Outcome, Peer,
        PeerOptions, RelayOptions, Waiting,
    },
    server::Limits,
    store::{KeepSettled, TransferState, WaitReason},
    transfer::{ReceiveOptions, SendOptions},
};

/// What wins over the settings of a home that is served.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ServeRequest {
    /// Where to listen.
    pub listen: Option<SocketAddr>,
    /// What to do with what arrives, from those without a rule of their own.
    pub inbox: Option<InboxSetting>,
    /// Where received files appear.
    pub received: Option<PathBuf>,
    /// Bytes of content above which it waits for a yes.
    pub auto_up_to: Option<u64>,
    /// For how long a transfer stays after it was opened.
    pub keep_opened: Option<Duration>,
    /// Whether opened programs keep their executable bit.
    pub keep_exec: bool,
}

impl ServeRequest {
    /// The names of the settings that it wins over.
    pub(super) fn flags(&self) -> Vec<&'static str> {
        let flags = [
            ("listen", self.listen.is_some()),
            ("inbox", self.inbox.is_some()),
            ("received", self.received.is_some()),
            ("auto_up_to", self.auto_up_to.is_some()),
            ("keep_opened", self.keep_opened.is_some()),
        ];
        let given = flags.into_iter().filter(|(_, given)| *given);
        given.map(|(key, _)| key).collect()
    }
}

impl Home {
    /// Whether what wins over the settings can be done here: received files can appear where a flag says.
    ///
    /// # Errors
    /// [`NoPlace`](super::NoPlace).
    pub fn check_request(&self, request: &ServeRequest) -> Result<(), Error> {
        match &request.received {
            Some(folder) => self.check_place(folder),
            None => Ok(()),
        }
    }
}

/// How the peer of `home` serves with these settings.
pub fn peer_options(home: &Home, config: &Config, request: &ServeRequest) -> PeerOptions {
    let mut keep = keep_settled(config);
    keep.opened = request.keep_opened.or(keep.opened);
    let received = request.received.clone();
    let jobs = config.jobs.map(std::num::NonZeroUsize::get);
    PeerOptions {
        default_role: config.default_role.unwrap_or_default(),
        ask_every: ASK_EVERY,
        certs: home.certs(),
        outside: home.outside(config),
        chunks: home.chunks(),
        received: received.unwrap_or_else(|| home.received(config)),
        listen: request.listen.or(config.listen).unwrap_or(DEFAULT_LISTEN),
        inbox: InboxOptions {
            policy: inbox_policy(config, request),
            keep,
            receive: ReceiveOptions {
                jobs: jobs.unwrap_or(SendOptions::default().jobs),
                keep_exec: request.keep_exec,
            },
        },
        store: store_options(config),
        relay: relay(config),
        discovery: discovery(config),
        limits: Limits::default(),
    }
}

/// For how long what was opened or refused stays in the store.
pub(super) fn keep_settled(config: &Config) -> KeepSettled {
    let refused = config.keep_refused.map(DurationText::duration);
    KeepSettled {
        opened: config.keep_opened.map(DurationText::duration),
        refused: refused.unwrap_or(KeepSettled::default().refused),
    }
}

/// Whether peers are announced and looked for.
pub fn discovery(config: &Config) -> Discovery {
    match config.discovery {
        Some(false) => Discovery::Off,
        Some(true) | None => Discovery::On,
    }
}

fn relay(config: &Config) -> RelayOptions {
    let defaults = RelayOptions::default();
    RelayOptions {
        quota: config.relay_quota.map(SizeText::bytes),
        keep: config.relay_keep.map(DurationText::duration),
        collect: config
            .collect
            .map_or(defaults.collect, DurationText::duration),
    }
}

/// What is opened unasked. A request changes the rule for everybody; what the settings say of a single sender stays.
pub fn inbox_policy(config: &Config, request: &ServeRequest) -> InboxPolicy {
    let mode = |setting| match setting {
        InboxSetting::Auto => InboxMode::Auto,
        InboxSetting::Ask => InboxMode::Ask,
        InboxSetting::Off => InboxMode::Off,
    };
    let auto_up_to = request.auto_up_to;
    let default = InboxRule {
        mode: request.inbox.or(config.inbox).map(mode).unwrap_or_default(),
        auto_up_to: auto_up_to.or(config.auto_up_to.map(SizeText::bytes)),
    };
    let senders = config.peers.iter().map(|(name, settings)| {
        let rule = InboxRule {
            mode: settings.inbox.map_or(default.mode, mode),
            auto_up_to: settings
                .auto_up_to
                .map_or(default.auto_up_to, |size| Some(size.bytes())),
        };
        (name.clone(), rule)
    });
    InboxPolicy {
        default,
        senders: senders.collect(),
    }
}

/// A peer takes requests now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServingPeer {
    /// Its name.
    pub name: String,
    /// Its id.
    pub peer_id: PeerId,
    /// Where it listens.
    pub address: SocketAddr,
    /// What it does with what arrives.
    pub inbox: InboxSetting,
}

impl ServingPeer {
    /// What is told of `peer`, which does this with what arrives.
    pub fn of(peer: &Peer, inbox: InboxMode) -> Self {
        Self {
            name: peer.identity().name().to_owned(),
            peer_id: peer.identity().peer_id(),
            address: peer.address(),
            inbox: match inbox {
                InboxMode::Auto => InboxSetting::Auto,
                InboxMode::Ask => InboxSetting::Ask,
                InboxMode::Off => InboxSetting::Off,
            },
        }
    }
}

/// A transfer has come for a peer that serves. Its texts are foreign: escape them before showing them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrived {
    /// Its manifest.
    #[serde(rename = "id")]
    pub manifest: ManifestId,
    /// Who signed it.
    pub sender: PeerId,
    /// The signer's name, if the circle knows it.
    pub sender_name: Option<String>,
    /// Bytes of content.
    pub bytes: u64,
    /// Whether it was opened, waits, or was refused.
    pub state: TransferState,
    /// Why it waits or was refused, in a word or in the words of what failed.
    pub reason: Option<String>,
    /// Why it waits, for programs.
    pub waits: Option<WaitReason>,
    /// What it is larger than, if it waits for that: bytes of content, or of the table.
    pub limit: Option<u64>,
    /// Of what was opened: the final paths of what it has at its top.
    pub paths: Option<Vec<String>>,
    /// The text, if it is a message.
    pub message: Option<String>,
    /// Links that were not made, because they lead out of their folder.
    pub skipped_links: Option<Vec<String>>,
    /// Names that are not what the sender called them, the first few, and what they have become.
    pub renamed: Option<Vec<(String, String)>>,
    /// How many there are.
    pub renamed_count: Option<usize>,
}

impl From<&Arrival> for Arrived {
    fn from(arrival: &Arrival) -> Self {
        let (state, opened, reason, waits, limit) = match &arrival.outcome {
            Outcome::Opened(opened) => (TransferState::Opened, Some(opened), None, None, None),
            Outcome::Waiting(why) => {
                let (waits, limit) = waits(why);
                let reason = Some(why.reason().to_owned());
                (TransferState::Waiting, None, reason, Some(waits), limit)
            }
            Outcome::Refused { reason } => (
                TransferState::Refused,
                None,
                Some(reason.clone()),
                None,
                None,
            ),
        };
        let text = |path: &std::path::PathBuf| path.to_string_lossy().into_owned();
        Self {
            manifest: arrival.id,
            sender: arrival.sender,
            sender_name: arrival.sender_name.clone(),
            bytes: arrival.size,
            state,
            reason,
            waits,
            limit,
            paths: opened.map(|opened| opened.paths.iter().map(text).collect()),
            message: opened.and_then(|opened| opened.message.clone()),
            skipped_links: opened.map(|opened| opened.skipped_links.clone()),
            renamed: opened.map(|opened| opened.renamed.first.clone()),
            renamed_count: opened.map(|opened| opened.renamed.count),
        }
    }
}

fn waits(why: &Waiting) -> (WaitReason, Option<u64>) {
    match why {
        Waiting::Asks => (WaitReason::Asks, None),
        Waiting::Larger { than } => (WaitReason::Larger, Some(*than)),
        Waiting::LongTable { than } => (WaitReason::LongTable, Some(*than)),
        Waiting::Locked => (WaitReason::Locked, None),
        Waiting::Off => (WaitReason::Off, None),
        Waiting::Failed { code, .. } => (*code, None),
    }
}
