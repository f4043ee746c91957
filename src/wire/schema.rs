//! How what travels looks to an OpenAPI reader, where a derive at the type itself cannot say it: ids and times are text,
//! and the rooms below know nothing of documents.

#![allow(
    dead_code,
    reason = "shapes are for the document, nobody reads their fields"
)]

use std::borrow::Cow;

use serde::Serialize;
use serde_json::Value;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        RefOr,
        schema::{
            Discriminator, KnownFormat, ObjectBuilder, OneOfBuilder, Ref, Schema, SchemaFormat,
            Type,
        },
    },
};

use super::ServerEvent;
use crate::{
    id::{ChunkId, Digest, ManifestId, PeerId, TransferId},
    manifest::Timestamp,
    store::{
        ChunkInfo, Freed, ManifestInfo, OfferAnswer, StateAt, TransferState, Unnamed, WaitReason,
    },
};

/// Hex digits, in the one spelling that is taken.
macro_rules! hex {
    ($type:ident, $digits:literal, $what:literal) => {
        impl PartialSchema for $type {
            fn schema() -> RefOr<Schema> {
                let text = ObjectBuilder::new().schema_type(Type::String);
                let pattern = concat!("^[0-9a-f]{", $digits, "}$");
                text.pattern(Some(pattern)).description(Some($what)).into()
            }
        }

        impl ToSchema for $type {
            fn name() -> Cow<'static, str> {
                stringify!($type).into()
            }
        }
    };
}

hex!(Digest, 64, "A SHA-256.");
hex!(ChunkId, 64, "The SHA-256 of a sealed chunk's bytes.");
hex!(ManifestId, 64, "The SHA-256 of a manifest's envelope.");
hex!(
    PeerId,
    64,
    "The SHA-256 of a peer's public key (SubjectPublicKeyInfo)."
);
hex!(
    TransferId,
    32,
    "Names a transfer, together with its sender."
);

/// A type of another room looks like this shape.
macro_rules! looks_like {
    ($type:ident, $shape:ident) => {
        impl PartialSchema for $type {
            fn schema() -> RefOr<Schema> {
                $shape::schema()
            }
        }

        impl ToSchema for $type {
            fn name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
                $shape::schemas(schemas);
            }
        }
    };
}

looks_like!(ChunkInfo, ChunkShape);
looks_like!(ManifestInfo, ManifestShape);
looks_like!(StateAt, StateShape);
looks_like!(Unnamed, UnnamedShape);
looks_like!(Freed, FreedShape);

/// A chunk in a list.
#[derive(ToSchema)]
struct ChunkShape {
    /// Its id.
    id: ChunkId,
    /// Bytes as stored.
    length: u64,
}

/// What a transfer leaves when it goes.
#[derive(ToSchema)]
struct FreedShape {
    /// Chunks that go: to the trash, and from there within two hours.
    chunks: u64,
    /// Their bytes.
    bytes: u64,
    /// Its chunks that stay, for another transfer names them or is bringing them.
    shared_chunks: u64,
    /// Their bytes.
    shared_bytes: u64,
}

/// The chunks of one peer that no manifest names.
#[derive(ToSchema)]
struct UnnamedShape {
    /// Who put them; null if that is not known.
    #[schema(required)]
    peer_id: Option<PeerId>,
    /// How many.
    chunks: u64,
    /// Their bytes.
    bytes: u64,
}

/// A manifest in a list: what a blind store can tell.
#[derive(ToSchema)]
struct ManifestShape {
    /// Its id.
    id: ManifestId,
    /// Names the transfer, together with its sender.
    transfer_id: TransferId,
    /// Who signed it.
    sender: PeerId,
    /// When it was made.
    created: Timestamp,
    /// When it ends, if it does.
    #[schema(required)]
    expires: Option<Timestamp>,
    /// Bytes of content.
    size: u64,
    /// Sealed chunks in all.
    chunks: u64,
    /// Who can open it by a seal key.
    recipients: Vec<PeerId>,
    /// Whether a password opens it.
    password: bool,
    /// How far it has come, unless it was let go a moment ago.
    state: Option<StateAt>,
}

/// How far a transfer has come, and since when.
#[derive(ToSchema)]
struct StateShape {
    /// The state.
    state: TransferState,
    /// Since when.
    since: Timestamp,
    /// Why it waits. Only its sender and the owner of the store are told.
    #[schema(nullable = false)]
    reason: Option<WaitReason>,
}

/// An enumeration, spelled as serde spells it.
macro_rules! one_of {
    ($type:ident, $what:literal, [$($variant:ident),*]) => {
        impl PartialSchema for $type {
            fn schema() -> RefOr<Schema> {
                let spellings = [$(spelling(&Self::$variant)),*];
                let text = ObjectBuilder::new().schema_type(Type::String);
                text.enum_values(Some(spellings)).description(Some($what)).into()
            }
        }

        impl ToSchema for $type {
            fn name() -> Cow<'static, str> {
                stringify!($type).into()
            }
        }
    };
}

one_of!(
    OfferAnswer,
    "`accepted`: send it. `waiting`: send it, it waits for the recipient's person. `refused`: do not send it. \
     `already-received`: nothing is left to do.",
    [Accepted, Waiting, Refused, AlreadyReceived]
);
one_of!(
    TransferState,
    "`stored`: nobody here opens it on arrival. `waiting`: for the recipient's person. `opened`. `refused`: or it could \
     not be opened. `expired`.",
    [Stored, Waiting, Opened, Refused, Expired]
);
one_of!(
    WaitReason,
    "`asks`: for a yes. `larger`, `long-table`: than what is opened unasked. `locked`: by a password. `off`: nothing is opened \
     unasked. Tried again by itself: `no-space`; `cannot-write`: the folder of received files; `cannot-open`.",
    [
        Asks,
        Larger,
        LongTable,
        Locked,
        Off,
        NoSpace,
        CannotWrite,
        CannotOpen
    ]
);

fn spelling(variant: &impl Serialize) -> Value {
    serde_json::to_value(variant).unwrap_or_default()
}

impl PartialSchema for Timestamp {
    fn schema() -> RefOr<Schema> {
        let text = ObjectBuilder::new().schema_type(Type::String);
        text.format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .description(Some("RFC 3339 in UTC, whole seconds, with a `Z`."))
            .into()
    }
}

impl ToSchema for Timestamp {}

/// An event: its name says which one. What is derived for an enumeration has no names for its variants and merges two schemas
/// for one of them, which the generators of clients cannot express.
impl PartialSchema for ServerEvent {
    fn schema() -> RefOr<Schema> {
        let of = |name: &str| Ref::from_schema_name(name).ref_location;
        let events = [
            ("published", PublishedEvent::name()),
            ("state", StateEvent::name()),
            ("notice", NoticeEvent::name()),
        ];
        let mut one_of = OneOfBuilder::new().description(Some("One event of `GET /v1/events`."));
        for (_, name) in &events {
            one_of = one_of.item(Ref::from_schema_name(name.as_ref()));
        }
        let mapping = events.map(|(event, name)| (event, of(&name)));
        let named = Discriminator::with_mapping("event", mapping);
        one_of.discriminator(Some(named)).into()
    }
}

impl ToSchema for ServerEvent {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((PublishedEvent::name().into(), PublishedEvent::schema()));
        schemas.push((StateEvent::name().into(), StateEvent::schema()));
        schemas.push((NoticeEvent::name().into(), NoticeEvent::schema()));
        PublishedEvent::schemas(schemas);
        StateEvent::schemas(schemas);
        NoticeEvent::schemas(schemas);
    }
}

/// A transfer was published here.
#[derive(ToSchema)]
struct PublishedEvent {
    #[schema(inline)]
    event: Published,
    /// Its manifest.
    id: ManifestId,
    /// Who sent it.
    sender: PeerId,
    /// Bytes of content.
    size: u64,
}

/// A transfer changed its state.
#[derive(ToSchema)]
struct StateEvent {
    #[schema(inline)]
    event: State,
    /// Its manifest.
    id: ManifestId,
    /// The state.
    state: TransferState,
    /// Since when.
    since: Timestamp,
    /// Why it waits. Only its sender and the owner of the store are told.
    #[schema(nullable = false)]
    reason: Option<WaitReason>,
}

/// Something here needs its owner: a certificate that ends, for instance. Repeated once a day.
#[derive(ToSchema)]
struct NoticeEvent {
    #[schema(inline)]
    event: Notice,
    /// The stable code, for programs.
    code: String,
    /// What it is and what to do, for people.
    text: String,
}

/// The name of the event.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
enum Published {
    Published,
}

/// The name of the event.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
enum State {
    State,
}

/// The name of the event.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
enum Notice {
    Notice,
}

/// Raw bytes. `format: binary` is of OpenAPI 3.0, and what generators know.
fn bytes(what: &str) -> RefOr<Schema> {
    let bytes = ObjectBuilder::new().schema_type(Type::String);
    bytes
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)))
        .description(Some(what))
        .into()
}

/// The bytes of a sealed chunk.
pub(crate) struct Sealed;

impl PartialSchema for Sealed {
    fn schema() -> RefOr<Schema> {
        bytes(
            "12 bytes of nonce, ciphertext, 16 bytes of tag; at most 64 MiB + 28 bytes. Raw bytes, not text.",
        )
    }
}

/// Revocation lists or a signing request, in PEM.
pub(crate) struct Pem;

impl PartialSchema for Pem {
    fn schema() -> RefOr<Schema> {
        bytes("Text in PEM, as its bytes.")
    }
}

impl ToSchema for Pem {}

impl ToSchema for Sealed {
    fn name() -> Cow<'static, str> {
        "SealedChunk".into()
    }
}

/// A DSSE 1.0 envelope, at most 8 MiB. Its exact bytes count: there is one spelling, without white space and in this order.
#[derive(ToSchema)]
pub(crate) struct Envelope {
    /// The signed bytes, in base64: an offer, a manifest or a peer bundle as JSON.
    payload: String,
    /// What `payload` is.
    #[schema(rename = "payloadType")]
    payload_type: PayloadType,
    /// Exactly one.
    #[schema(min_items = 1, max_items = 1)]
    signatures: Vec<Signature>,
}

/// What an envelope contains.
#[derive(ToSchema)]
enum PayloadType {
    #[schema(rename = "application/vnd.colis.offer.v1+json")]
    Offer,
    #[schema(rename = "application/vnd.colis.manifest.v1+json")]
    Manifest,
    #[schema(rename = "application/vnd.colis.peer.v1+json")]
    Peer,
    #[schema(rename = "application/vnd.colis.directory.v1+json")]
    Directory,
}

/// The sender's signature.
#[derive(ToSchema)]
#[schema(as = EnvelopeSignature)]
struct Signature {
    /// The sender.
    keyid: PeerId,
    /// ECDSA P-256 over the pre-authentication encoding, r || s with low s, in base64.
    sig: String,
}
