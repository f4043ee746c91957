//! The vectors as they are on disk, and the peers that they are about.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use colis::{
    crypto::SealKey,
    id::{ChunkId, PeerId},
    manifest::Timestamp,
    tls::{CertsDir, Circle, CircleHandle},
    transfer::Reader,
};
use data_encoding::{BASE64, HEXLOWER};
use serde::Deserialize;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::open::Class;

/// One vector.
pub(crate) struct Vector {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) now: Timestamp,
    pub(crate) reader: String,
    pub(crate) password: Option<String>,
    /// Ids that the store does not have.
    pub(crate) missing: Vec<ChunkId>,
    /// What the store gives instead of what was asked for.
    pub(crate) served: HashMap<ChunkId, String>,
    pub(crate) skipped_links: Vec<String>,
    pub(crate) envelope: Vec<u8>,
    /// Whether its transfer expires.
    pub(crate) expires: bool,
    /// What must be found in it, or why it must be refused.
    pub(crate) expected: Result<Map<String, Value>, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    about: String,
    r#type: String,
    now: Timestamp,
    reader: String,
    password: Option<String>,
    #[serde(default)]
    missing: Vec<ChunkId>,
    #[serde(default)]
    served: HashMap<ChunkId, String>,
    #[serde(default)]
    skipped_links: Vec<String>,
    error: Option<String>,
    opened: Option<Map<String, Value>>,
    envelope: Option<String>,
    payload: Option<String>,
    payload_type: Option<String>,
    keyid: Option<String>,
    sig: Option<String>,
    #[serde(default)]
    spaces_to_length: usize,
}

impl Vector {
    /// Every vector, in order of their names.
    pub(crate) fn all() -> Vec<Self> {
        let of_folder = |folder: &str| {
            let files = files(&root().join(folder));
            let read = |(name, bytes): (String, Vec<u8>)| Self::read(folder, &name, &bytes);
            files.into_iter().map(read).collect::<Vec<_>>()
        };
        let mut all = of_folder("valid");
        all.extend(of_folder("invalid"));
        all
    }

    fn read(folder: &str, file: &str, bytes: &[u8]) -> Self {
        let name = format!("{folder}/{}", file.trim_end_matches(".json"));
        let written: Written =
            serde_json::from_slice(bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(
            !written.about.is_empty(),
            "{name} says nothing about itself"
        );
        let envelope = written.envelope();
        let payload = written.payload.as_deref().unwrap_or_default();
        let expected = match (written.opened, written.error) {
            (Some(opened), None) if folder == "valid" => Ok(opened),
            (None, Some(class)) if folder == "invalid" => Err(class),
            _ => panic!("{name} must say either what is found or why it is refused"),
        };
        Self {
            expires: payload.contains(r#""expires":"2"#),
            name,
            kind: written.r#type,
            now: written.now,
            reader: written.reader,
            password: written.password,
            missing: written.missing,
            served: written.served,
            skipped_links: written.skipped_links,
            envelope,
            expected,
        }
    }
}

impl Written {
    fn envelope(&self) -> Vec<u8> {
        let mut bytes = match (
            &self.envelope,
            &self.payload,
            &self.payload_type,
            &self.keyid,
            &self.sig,
        ) {
            (Some(text), None, ..) => text.clone().into_bytes(),
            (None, Some(payload), Some(payload_type), Some(keyid), Some(sig)) => {
                let payload = BASE64.encode(payload.as_bytes());
                format!(
                    r#"{{"payload":"{payload}","payloadType":"{payload_type}","signatures":[{{"keyid":"{keyid}","sig":"{sig}"}}]}}"#
                )
                .into_bytes()
            }
            _ => panic!("a vector has an envelope or all of its parts"),
        };
        bytes.resize(bytes.len().max(self.spaces_to_length), b' ');
        bytes
    }
}

/// The circle, the peers and the chunks that vectors refer to.
pub(crate) struct World {
    pub(crate) circle: CircleHandle,
    peers: HashMap<String, Person>,
    chunks: HashMap<ChunkId, String>,
}

#[derive(Deserialize)]
struct People {
    ca_cert: String,
    crl: String,
    peers: HashMap<String, Person>,
}

#[derive(Deserialize)]
struct Person {
    peer_id: PeerId,
    certificate: String,
    seal_seed: String,
    kid: String,
}

impl World {
    pub(crate) fn load() -> Self {
        let read = |name: &str| fs::read(root().join(name)).unwrap();
        let people: People = serde_json::from_slice(&read("peers.json")).unwrap();
        Self {
            circle: circle(&people),
            chunks: serde_json::from_slice(&read("chunks.json")).unwrap(),
            peers: people.peers,
        }
    }

    /// Who opens the vector, without a password.
    pub(crate) fn reader(&self, vector: &Vector) -> Reader {
        let person = &self.peers[&vector.reader];
        let seed = HEXLOWER.decode(person.seal_seed.as_bytes()).unwrap();
        let key = SealKey::from_bytes(Zeroizing::new(seed.try_into().unwrap())).unwrap();
        assert_eq!(key.public().id().to_string(), person.kid);
        Reader {
            me: person.peer_id,
            seal_keys: Arc::new([key]),
            password: None,
            verifier: Arc::new(self.circle.clone()),
        }
    }

    /// What a store gives for `id`: a store checks what it gives.
    pub(crate) fn chunk(&self, vector: &Vector, id: ChunkId) -> Result<Vec<u8>, Class> {
        let file = root().join("data").join(id.to_string());
        let sealed = match vector.served.get(&id).or(self.chunks.get(&id)) {
            _ if vector.missing.contains(&id) => return Err(Class("NotFound".into())),
            Some(text) => BASE64.decode(text.as_bytes()).unwrap(),
            None => fs::read(file).map_err(|_| Class("NotFound".into()))?,
        };
        if ChunkId::of(&sealed) == id {
            Ok(sealed)
        } else {
            Err(Class("HashMismatch".into()))
        }
    }
}

fn circle(people: &People) -> CircleHandle {
    let folder = tempfile::tempdir().unwrap();
    let dir = CertsDir::new(folder.path());
    let own = BASE64
        .decode(people.peers["alice"].certificate.as_bytes())
        .unwrap();
    let own = pem::encode(&pem::Pem::new("CERTIFICATE", own));
    fs::write(dir.server_cert(), own).unwrap();
    fs::write(dir.ca_cert(), &people.ca_cert).unwrap();
    fs::write(dir.crl(), &people.crl).unwrap();
    CircleHandle::new(Circle::load(&dir).unwrap())
}

/// Where the vectors are.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors")
}

/// Every file below `folder`, by its path from there.
pub(crate) fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let (mut found, mut todo) = (BTreeMap::new(), vec![folder.to_owned()]);
    while let Some(next) = todo.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                todo.push(path);
            } else {
                let name = path
                    .strip_prefix(folder)
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_owned();
                found.insert(name, fs::read(path).unwrap());
            }
        }
    }
    found
}
