//! What the server asks others: who may connect, whether an offer is wanted, what the circle's machine says.

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use futures::future::BoxFuture;
use tokio_rustls::rustls::ServerConfig;

use super::{arrivals::Cut, shares::Share, told::NotTaken};
use crate::{
    id::{ChunkId, ManifestId, PeerId, TransferId},
    manifest::SignedOffer,
    store::{Freed, OfferAnswer, Store, StoreError, StoreFuture, WaitReason},
    tls::{BadDirectory, BadList, Caller, Endings, WhyRefused},
    trust::{Right, Role},
    wire::{Condition, DecidedQuestion, DeleteQuestion, GcBody, ReloadBody},
};

/// Guards the door: TLS and revocation, which may both be reloaded while the server runs.
pub trait Gate: Send + Sync {
    /// The TLS configuration for the next handshake. It must require a client certificate.
    fn server_config(&self) -> Arc<ServerConfig>;
    /// Who has shown this certificate, which the handshake has verified. `None` refuses the connection.
    fn caller(&self, certificate: &[u8]) -> Option<Caller>;
    /// Whether this caller is not let in any more: its certificate is revoked, or it has neither a role nor a right. Asked
    /// before every request, so it must not wait for anything. The server itself looks at dates.
    fn is_revoked(&self, caller: &Caller) -> bool;
    /// What this caller may do, as of now: everything, unless there are roles. Must not wait for anything either.
    fn role(&self, _: &Caller) -> Role {
        Role::Member
    }
    /// What this caller may do beyond the store, as of now: nothing, unless there are rights. Must not wait for anything either.
    fn rights(&self, _: &Caller) -> BTreeSet<Right> {
        BTreeSet::new()
    }
    /// Whether the folders that the peer works with are where they were; the health says if not.
    fn is_in_place(&self) -> bool {
        true
    }
    /// Whether this caller, whose certificate has ended, may still have it renewed here, and do nothing else. No, unless the
    /// circle's key is here. Must not wait for anything either.
    fn may_renew(&self, _: &Caller) -> bool {
        false
    }
}

/// Decides about offers: the inbox of a running peer.
pub trait OfferDesk: Send + Sync {
    /// What to answer to `offer`, which is verified; `caller` brings it, and may be another than its sender.
    fn decide<'a>(
        &'a self,
        offer: &'a SignedOffer,
        caller: &'a Caller,
    ) -> StoreFuture<'a, OfferAnswer>;

    /// A content chunk that `caller` brought for an announced transfer is stored. Must not wait for anything.
    fn stored(&self, caller: &Caller, transfer: TransferId, index: u64, chunk: Brought);

    /// No more came of a transfer. May write a file.
    fn cut(&self, _: &Cut) {}

    /// A transfer was not taken. May write a file.
    fn not_taken(&self, _: &NotTaken) {}

    /// What is in a transfer that `by` is bringing, as far as that is known.
    fn names(&self, _by: PeerId, _: TransferId) -> BoxFuture<'_, Option<ArrivingNames>> {
        Box::pin(async { None })
    }

    /// Why the transfer `id` waits, if that is known and `asker` may know: its sender and the owner. Must not wait for
    /// anything.
    fn why_waits(&self, _id: ManifestId, _asker: PeerId) -> Option<WaitReason> {
        None
    }
}

/// What a transfer is called at its top.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ArrivingNames {
    /// The first names. They are foreign.
    pub names: Vec<String>,
    /// Whether it has, or may have, others.
    pub more: bool,
}

/// A chunk that a peer has brought.
pub struct Brought {
    /// Its id.
    pub id: ChunkId,
    /// Its bytes.
    pub sealed: Bytes,
    /// To be held as long as they are.
    pub charge: Charge,
}

/// Memory that counts for a peer until this is dropped.
#[derive(Default)]
pub struct Charge {
    _memory: Option<Share<PeerId>>,
}

impl From<Share<PeerId>> for Charge {
    fn from(memory: Share<PeerId>) -> Self {
        Self {
            _memory: Some(memory),
        }
    }
}

/// Answers what the store says: space or not.
pub struct StoreDesk(pub Arc<dyn Store>);

impl OfferDesk for StoreDesk {
    fn decide<'a>(
        &'a self,
        offer: &'a SignedOffer,
        caller: &'a Caller,
    ) -> StoreFuture<'a, OfferAnswer> {
        self.0.bring_offer(offer, caller.peer_id)
    }

    fn stored(&self, _: &Caller, _: TransferId, _: u64, _: Brought) {}
}

/// How the rest of the peer is: certificates, disk, inbox.
pub trait HealthDesk: Send + Sync {
    /// What it knows, as of now. Asked by the owner and by whom he lets watch, as often as they like.
    fn condition(&self) -> BoxFuture<'_, Condition> {
        Box::pin(async { Condition::default() })
    }
}

/// Why a peer does not do what its owner asks.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OwnerError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The settings cannot be used; those from before stay in force.
    #[error("settings unchanged: {0}")]
    Settings(String),
    /// The program that runs this peer does not offer it.
    #[error("the program that runs this peer offers no such request")]
    Unsupported,
}

/// What the owner of a peer may ask of it while it serves. A program that offers none of it leaves it as it is.
pub trait OwnerDesk: Send + Sync {
    /// Lets settled and expired transfers go and collects their chunks; of unfinished ones too, if so.
    fn collect(&self, _unfinished: bool) -> BoxFuture<'_, Result<GcBody, OwnerError>> {
        Box::pin(async { Err(OwnerError::Unsupported) })
    }
    /// The server takes no more of a transfer that `by` is bringing: frees what was reserved for it, and lets its chunks go that `by`
    /// has put. Must not wait for anything.
    fn cancel(&self, _by: PeerId, _: TransferId, _: Vec<ChunkId>) {}
    /// Records what the owner has decided about a transfer for this peer.
    fn decided(&self, _: DecidedQuestion) -> BoxFuture<'_, Result<(), OwnerError>> {
        Box::pin(async { Err(OwnerError::Unsupported) })
    }
    /// Deletes a transfer, or only says what that would leave.
    fn delete(&self, _: DeleteQuestion) -> BoxFuture<'_, Result<Freed, OwnerError>> {
        Box::pin(async { Err(OwnerError::Unsupported) })
    }
    /// Reads the settings again, and whatever else it has read.
    fn reload(&self) -> BoxFuture<'_, Result<ReloadBody, OwnerError>> {
        Box::pin(async { Err(OwnerError::Unsupported) })
    }
    /// Ends the peer once this has been answered.
    fn stop(&self) -> BoxFuture<'_, Result<(), OwnerError>> {
        Box::pin(async { Err(OwnerError::Unsupported) })
    }
}

/// For a server whose owner can ask nothing of it.
pub struct NoOwner;

impl OwnerDesk for NoOwner {}

/// The circle as seen from this machine.
pub trait CircleDesk: Send + Sync {
    /// The newest revocation list, as PEM.
    fn revocation_list(&self) -> BoxFuture<'_, Option<String>>;
    /// Takes over a revocation list, as PEM, if it is the circle's and newer. Gives whether it was.
    fn take_revocation_list<'a>(&'a self, pem: &'a str) -> BoxFuture<'a, Result<bool, ListError>>;
    /// A new certificate, as PEM, for the key that `caller` has now; `request` is a signing request, as PEM.
    fn renew<'a>(
        &'a self,
        caller: &'a Caller,
        request: &'a str,
    ) -> BoxFuture<'a, Result<String, RenewError>>;
    /// Revokes `caller`, who leaves the circle.
    fn leave<'a>(&'a self, _caller: &'a Caller) -> BoxFuture<'a, Result<(), RenewError>> {
        Box::pin(async { Err(RenewError::NotTheCircle) })
    }
    /// The circle's own certificate, as PEM, if it is here.
    fn circle_certificate(&self) -> Option<String> {
        None
    }
    /// When the certificates here end, as far as that is known.
    fn endings(&self) -> Endings {
        Endings::default()
    }
    /// The newest bundle of `peer` that was seen here, in its envelope. Must not wait for anything.
    fn bundle_of(&self, _peer: PeerId) -> Option<String> {
        None
    }
    /// The certificate, as DER, of the peer of this name, as far as it is known here. Must not wait for anything.
    fn named(&self, _name: &str) -> Option<Vec<u8>> {
        None
    }
    /// The circle's directory: its number, and its envelope.
    fn directory(&self) -> BoxFuture<'_, Option<(u64, Bytes)>> {
        Box::pin(async { None })
    }
    /// The same for a member that asks whether it lacks something: its number alone, 0 if it may be brought one. `None` takes none.
    fn directory_number(&self) -> BoxFuture<'_, Option<u64>> {
        Box::pin(async { None })
    }
    /// Takes over a directory, in its envelope, if it is the circle's and newer. Gives whether it was.
    fn take_directory<'a>(&'a self, _: &'a Bytes) -> BoxFuture<'a, Result<bool, DirectoryError>> {
        Box::pin(async { Err(DirectoryError::NoneKept) })
    }
}

/// Why a revocation list was not taken over.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListError {
    /// It is none, or not of this circle. The caller is told why.
    #[error(transparent)]
    NotOurs(BadList),
    /// This peer keeps none.
    #[error("this peer keeps no revocation list")]
    NoneKept,
    /// Writing it failed here. Only our log is told why.
    #[error(transparent)]
    Failed(Box<dyn std::error::Error + Send + Sync>),
}

/// Why a directory was not taken over.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DirectoryError {
    /// It is none, or not of this circle. The caller is told why.
    #[error(transparent)]
    NotOurs(BadDirectory),
    /// This peer keeps none.
    #[error("this peer keeps no directory")]
    NoneKept,
    /// Writing it failed here. Only our log is told why.
    #[error(transparent)]
    Failed(Box<dyn std::error::Error + Send + Sync>),
}

/// Why there is no new certificate, or a member is not revoked that leaves.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RenewError {
    /// The circle's key is on another machine.
    #[error("the circle's key is not on this machine")]
    NotTheCircle,
    /// The request is malformed, or asks for what the caller may not have. The caller is told why.
    #[error(transparent)]
    Refused(WhyRefused),
    /// Signing or writing failed here. Only our log is told why.
    #[error(transparent)]
    Failed(Box<dyn std::error::Error + Send + Sync>),
}

/// A machine without the circle's key and without a revocation list.
pub struct NoCircle;

impl CircleDesk for NoCircle {
    fn revocation_list(&self) -> BoxFuture<'_, Option<String>> {
        Box::pin(async { None })
    }

    fn take_revocation_list<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<bool, ListError>> {
        Box::pin(async { Err(ListError::NoneKept) })
    }

    fn renew<'a>(&'a self, _: &'a Caller, _: &'a str) -> BoxFuture<'a, Result<String, RenewError>> {
        Box::pin(async { Err(RenewError::NotTheCircle) })
    }
}

impl HealthDesk for NoCircle {}
