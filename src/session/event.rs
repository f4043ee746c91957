//! What a session tells while it acts.

mod missed;

use std::net::IpAddr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::{
    Arrived, ChangedSetting, Checked, Collected, Custody, DeletedTransfer, Finding, Granted,
    Locked, NothingNew, PeerHealth, PeerRow, Planned, Progress, ReceivedTransfer, RefusedTransfer,
    RightsRow, RoleRow, Sealed, SeenRow, Sent, ServingPeer, Status, StoppedPeer, Summary,
    TransferRow, UnfinishedSend, WaitingTransfer,
    certs::{
        ChangedPassphrase, IssuedCertificate, LeftCircle, MadePeer, OwnCertificate,
        RenewedCertificate, RevokedPeer,
    },
    pair::{JoinedCircle, NotPaired, PairedPeer, ShownCode},
};
use crate::{
    config::Shown,
    id::{ManifestId, PeerId},
    manifest::{Timestamp, table::Entry},
    peer::{HistoryEntry, Notice},
    store::{ChunkInfo, TransferState, WaitReason},
    transfer,
    wire::Arriving,
};

pub use missed::{Failed, LeftOut, Missed};

/// Something that happened in a session, or the outcome of an operation. `--json` prints each as one line, with `"v": 1` added.
///
/// Texts are raw: names and paths of other peers must be escaped before they are shown on a terminal. Events and fields may be
/// added, and so may the words that a field can have: a reader of an older version gets [`Event::Other`] for an event or a word that it
/// does not know, and may look into the line itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case", remote = "Self")]
#[non_exhaustive]
pub enum Event {
    /// The last event of what fails.
    Error(Failed),
    /// What a home is, has and knows.
    Status(Box<Status>),
    /// Something that was sent or received earlier.
    History(Box<HistoryEntry>),
    /// A transfer that was brought and did not come: it was cut or not taken.
    NotCome(Box<HistoryEntry>),
    /// A peer takes requests now.
    Serving(ServingPeer),
    /// A transfer has come for the peer that serves.
    Arrival(Box<Arrived>),
    /// Events that are missing here, because they were not read in time.
    Dropped {
        /// How many.
        count: u64,
    },
    /// A setting, and where it comes from.
    Setting(Shown),
    /// A file of settings was written.
    ConfigInit {
        /// The file.
        path: String,
    },
    /// A setting was changed.
    ConfigSet(ChangedSetting),
    /// A setting was taken back: its default holds.
    ConfigUnset(ChangedSetting),
    /// A unit of systemd was written.
    Installed {
        /// The file.
        path: String,
        /// The unit's name.
        unit: String,
    },
    /// A unit of systemd was removed.
    Uninstalled {
        /// The file.
        path: String,
        /// The unit's name.
        unit: String,
        /// The link that started it at every login, which is removed too, if there was one.
        link: Option<String>,
        /// The home, which stays.
        home: String,
    },
    /// A unit for the whole system.
    Unit {
        /// The unit's name.
        unit: String,
        /// What is to be in its file.
        text: String,
        /// Whether it would serve as root.
        as_root: bool,
    },
    /// A demonstration begins with something.
    Step {
        /// Which one, from 1.
        number: u8,
        /// What happens.
        text: String,
    },
    /// What a demonstration has found.
    Fact {
        /// What.
        text: String,
    },
    /// Something that the owner of a home should know.
    Notice(Notice),
    /// What a check has found.
    Finding(Finding),
    /// What the doctor has found in all.
    Summary(Summary),
    /// How far a transfer is, four times a second.
    Progress(Progress),
    /// A peer does not answer, and is waited for. Told each second or so.
    NoAnswer {
        /// The peer, as it was named.
        peer: String,
        /// Since when it has not answered.
        seconds: u64,
        /// How long it is waited for in all.
        retry_for: u64,
    },
    /// A peer that was waited for answers again: the transfer goes on.
    AnswersAgain {
        /// The peer, as it was named.
        peer: String,
        /// How long it did not answer.
        seconds: u64,
    },
    /// A transfer was sent or shared.
    Sent(Sent),
    /// What would be sent, for a dry run.
    WouldSend(Planned),
    /// An entry of a table.
    Entry(Entry),
    /// Something below a named folder is not sent.
    LeftOut(LeftOut),
    /// An entry is sent under another name: its own is no UTF-8, and another entry has the name that it becomes as text.
    Renamed {
        /// Where it is.
        path: String,
        /// Its name in the table.
        name: String,
    },
    /// Files and folders that a filter has left out.
    Filtered {
        /// How many.
        count: usize,
    },
    /// How much a stream of unknown length may have.
    StreamLimit {
        /// Bytes with the chunks that were chosen.
        bytes: u64,
        /// Bytes with the largest chunks.
        most: u64,
    },
    /// One of several peers does not have what was sent, or one of several transfers did not come.
    Missed(Missed),
    /// A send was begun and is not finished.
    Unfinished(Box<UnfinishedSend>),
    /// A send that was not finished is forgotten.
    SendDropped(Box<UnfinishedSend>),
    /// A transfer is waited for that a recipient has not opened yet.
    Pending {
        /// The recipient.
        peer: String,
        /// The transfer.
        #[serde(rename = "id")]
        manifest: ManifestId,
        /// How far it is there.
        state: TransferState,
        /// Why it is not opened.
        reason: Option<WaitReason>,
    },
    /// The history cannot be read: what did not come of late is not known.
    HistoryUnread {
        /// Its file.
        path: String,
        /// Why.
        reason: String,
    },
    /// The history cannot be written.
    HistoryUnwritten {
        /// Where it is.
        path: String,
        /// What keeps it from being written.
        reason: String,
    },
    /// A transfer was received.
    Received(Box<ReceivedTransfer>),
    /// Nothing that is new was there to be received.
    NothingNew(NothingNew),
    /// A transfer that was to be received with all others is not opened without a password.
    Locked(Locked),
    /// A password is tried on so many transfers that were not named, and there are others.
    PasswordLimit {
        /// As many are tried.
        most: usize,
    },
    /// A transfer was received, and that cannot be written into the own store.
    NotRecorded(Missed),
    /// A transfer waits for a yes.
    Waiting(Box<WaitingTransfer>),
    /// A transfer that a member is bringing now.
    Arriving(Arriving),
    /// A transfer that was arriving was refused: no more of it is taken.
    Cancelled(Arriving),
    /// The peer that served this home has ended, or nobody served it.
    Stopped(StoppedPeer),
    /// A transfer was refused here.
    Refused(Box<RefusedTransfer>),
    /// A transfer was deleted here, or recalled from a peer.
    Deleted(Box<DeletedTransfer>),
    /// A transfer that would be deleted, for a dry run.
    WouldDelete(Box<DeletedTransfer>),
    /// Others can open a transfer now.
    Granted(Granted),
    /// A transfer was sealed into a folder.
    Sealed(Sealed),
    /// What a check of the store has found.
    Check(Checked),
    /// The home has another store from now on, in the place of one that is lost.
    NewStore {
        /// Where it is.
        path: String,
    },
    /// The store is only read, so that damage stays where it is.
    OnlyLooks {
        /// The process that has it, if one has.
        holder: Option<String>,
        /// Why it cannot be written.
        reason: String,
    },
    /// What a peer was found to have of a transfer.
    Custody(Custody),
    /// What the store was freed of.
    Gc(Collected),
    /// A peer was met for the first time, and is in the address book now.
    Remembered {
        /// What it is called.
        name: String,
        /// Its id.
        peer_id: PeerId,
        /// Where it answered.
        address: String,
    },
    /// A peer was reached, and what was learned of it cannot be written into the address book.
    NotRemembered {
        /// Where it answered.
        address: String,
        /// What keeps it from being written.
        reason: String,
    },
    /// A known peer answers at an address where it was not before.
    Moved {
        /// What it is called.
        name: String,
        /// Where it answers now.
        address: String,
    },
    /// A name of the address book belongs to another key now, for the former is revoked. Roles, rights and settings of the former
    /// do not count for it.
    NameMoved {
        /// The name.
        name: String,
        /// Whose it was.
        from: PeerId,
        /// Whose it is.
        to: PeerId,
    },
    /// Another machine announces itself as a known peer.
    Impostor {
        /// The peer that it is not.
        name: String,
        /// Where it answers.
        address: String,
        /// How that was found out.
        reason: String,
    },
    /// A known peer announces itself at another address, where this one is refused: it was revoked or blocked, for example.
    RefusedThere {
        /// The peer.
        name: String,
        /// Where it answers.
        address: String,
        /// What it says, and where it was asked.
        reason: String,
    },
    /// The circle's machine has met a member that was on no record there.
    Recorded {
        /// Its name.
        name: String,
    },
    /// A source of several cannot be reached, and is done without.
    Without {
        /// As it was named.
        peer: String,
        /// Why.
        reason: String,
    },
    /// A peer lists more transfers than are taken from one list.
    ListCut {
        /// How many were taken.
        count: usize,
    },
    /// A peer lists more chunks than are told.
    ChunksCut {
        /// Pages that were told.
        pages: usize,
    },
    /// What a source of several has given.
    Source(transfer::Share),
    /// A transfer that a store has.
    Transfer(Box<TransferRow>),
    /// A chunk that a store has.
    Chunk(ChunkInfo),
    /// A peer of the address book.
    Peer(Box<PeerRow>),
    /// A peer of the network.
    Seen(SeenRow),
    /// The role of a peer.
    Role(RoleRow),
    /// The rights of a peer.
    Rights(RightsRow),
    /// How a peer answers.
    Health(Box<PeerHealth>),
    /// A peer was taken out of the address book.
    Forgotten {
        /// As it was named.
        name: String,
    },
    /// The circle's machine has asked the known peers for their revocation lists, before it signs or revokes.
    Asked {
        /// How many were asked.
        known: usize,
        /// How many have answered.
        reached: usize,
    },
    /// The circle's machine has asked nobody before it signs or revokes.
    NotAsked {
        /// What keeps it from asking.
        reason: String,
    },
    /// The certificates of a peer were made or taken over.
    Made(MadePeer),
    /// The certificate of this peer.
    Identity(OwnCertificate),
    /// The circle's own certificate.
    Circle {
        /// Until when it counts.
        not_after: Timestamp,
    },
    /// A certificate that the circle has issued.
    Issued(IssuedCertificate),
    /// The certificates of a peer were revoked.
    Revoked(RevokedPeer),
    /// The circle was left.
    Left(LeftCircle),
    /// A certificate was renewed, or is too young for it.
    Renewed(RenewedCertificate),
    /// The passphrase of the keys was set, changed or removed.
    Passphrase(ChangedPassphrase),
    /// A code is shown for a machine to join by. It must not be logged.
    Code(ShownCode),
    /// A machine that shows a code was found in the network by its name.
    Inviter {
        /// Its name.
        name: String,
        /// Where it says that it is.
        address: String,
    },
    /// A machine is not called as was wanted, but by a name that it can have.
    Called {
        /// What was wanted.
        wanted: String,
        /// What it is called.
        name: String,
        /// Whether another machine has the name that was wanted.
        taken: bool,
    },
    /// A machine came with another code than the one that is shown.
    WrongCode {
        /// Where it came from.
        from: IpAddr,
        /// How many more may be tried.
        left: u8,
        /// How many could be tried in all.
        tries: u8,
    },
    /// Somebody came while a code is shown, and did not join.
    NotPaired(NotPaired),
    /// A machine did not say that it has its certificates, so they are revoked again.
    TakenBack {
        /// The name that it was to have.
        name: String,
    },
    /// A machine has joined the circle.
    Paired(Box<PairedPeer>),
    /// This machine has joined a circle.
    Joined(JoinedCircle),
    /// An event of a newer version, or one with a word that only a newer version knows.
    #[serde(other)]
    Other,
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        match Self::deserialize(&value) {
            Ok(event) => Ok(event),
            // Whichever of the enumerations below it is: each may get words.
            Err(error) if error.to_string().starts_with(UNKNOWN_WORD) => Ok(Self::Other),
            Err(error) => Err(D::Error::custom(error)),
        }
    }
}

/// How serde's errors begin for a word that an enumeration does not have.
const UNKNOWN_WORD: &str = "unknown variant";
