//! What the owner of a peer asks of it while it serves: the bodies of `/v1/arriving` and `/v1/owner`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    id::{ManifestId, PeerId, TransferId},
    store::Unnamed,
};

/// A transfer that a member is bringing now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Arriving {
    /// Who brings it.
    pub peer_id: PeerId,
    /// The name in its certificate.
    pub name: String,
    /// Who has signed it, if it was announced: another than who brings it, if that is a carrier.
    #[serde(default)]
    pub sender: Option<PeerId>,
    /// The transfer.
    pub transfer: TransferId,
    /// The names at its top, if it is for this peer and its table has come. They are foreign.
    #[serde(default)]
    pub names: Option<Vec<String>>,
    /// Whether it has, or may have, other names.
    #[serde(default)]
    pub more_names: bool,
    /// Sealed bytes that came since it was begun or resumed, and were not here.
    pub bytes: u64,
    /// Bytes of its content, if they were announced.
    pub of: Option<u64>,
    /// Bytes of content up to the last chunk that came: at most those that were announced. What was here when it was resumed is
    /// among them.
    #[serde(default)]
    pub done: u64,
    /// Content chunks up to the last one that came.
    #[serde(default)]
    pub chunks: u64,
    /// Content chunks in all, if its bytes were announced.
    #[serde(default)]
    pub of_chunks: Option<u64>,
    /// How fast it comes now, in bytes a second; none while nothing comes.
    #[serde(default)]
    pub per_second: Option<u64>,
    /// How long it takes at that rate.
    #[serde(default)]
    pub seconds_left: Option<u64>,
    /// How long ago that began.
    pub seconds: f64,
    /// How long ago something of it came.
    pub idle_seconds: f64,
}

impl Arriving {
    /// Who has signed it. What was not announced is taken to be of who brings it.
    pub fn sender_id(&self) -> PeerId {
        self.sender.unwrap_or(self.peer_id)
    }
}

/// Answer of `GET /v1/arriving`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ArrivingList {
    /// The transfers, the latest to move first.
    pub arriving: Vec<Arriving>,
}

/// What the owner of a peer decides about a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// It was opened.
    Opened,
    /// A no.
    Refused,
}

/// Question of `POST /v1/owner/decided`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DecidedQuestion {
    /// The manifest of the transfer.
    pub manifest: ManifestId,
    /// What was decided.
    pub decision: Decision,
}

/// Question of `POST /v1/owner/delete`. The answer is what the transfer leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteQuestion {
    /// The manifest of the transfer.
    pub manifest: ManifestId,
    /// Whether nothing is deleted: it is only said what that would leave.
    pub dry_run: bool,
}

/// Question of `POST /v1/owner/gc`.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GcQuestion {
    /// Whether the chunks of unfinished transfers go at once too.
    pub unfinished: bool,
}

/// Answer of `POST /v1/owner/gc`: what was collected.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GcBody {
    /// Transfers that were opened long enough ago, and were let go.
    pub opened: usize,
    /// Transfers whose time was over.
    pub expired: usize,
    /// Chunks that went to the trash.
    pub chunks: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Who had put those that no manifest had named, or whose manifest was deleted or expired.
    #[serde(default)]
    pub by: Vec<Unnamed>,
    /// Chunks that left the trash for good.
    pub removed: usize,
    /// Journals of transfers that were not continued for a week.
    pub abandoned: usize,
    /// What was kept of transfers that were sent from here and are over.
    #[serde(default)]
    pub sends: usize,
}

/// Answer of `POST /v1/owner/reload`: what became of the settings. Certificates, revocations, roles and rights are read again in any
/// case.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReloadBody {
    /// Whether this peer has the settings of a file: one of another program may have its own.
    pub settings: bool,
    /// The settings that are others than before, and in force now.
    pub changed: Vec<String>,
    /// Those that are others than when this peer was started, and count when it is started again.
    pub restart: Vec<String>,
    /// Those of the file that do not count here, because this peer was started with others: by a flag, or a variable of its
    /// environment.
    pub overruled: Vec<String>,
}
