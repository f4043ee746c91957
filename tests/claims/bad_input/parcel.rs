//! Sealed transfers, honest and hostile: whatever their sender, a member with a valid certificate, wants to be in them.

use colis::{
    crypto::{ChunkPosition, ChunkSealer, FileKey, Stream},
    id::{ChunkId, FileDigest, ManifestId, TransferId},
    manifest::{
        MIN_CHUNK_SIZE, Manifest, Offer, Payload, Signer as _, Timestamp, Wrap, WrapScope, dsse,
        table::{self, Entry},
        to_json,
    },
    tls::Identity,
};

use testkit::site::{Answer, Site, request};

const JSON: &str = "content-type: application/vnd.dsse+json\r\n";

/// What is in a transfer before it is sealed.
#[derive(Default)]
pub(crate) struct Plain {
    pub(crate) table: Vec<u8>,
    pub(crate) content: Vec<u8>,
    pub(crate) sums: Vec<u8>,
}

impl Plain {
    /// Files of these names, each with its own name as its content.
    pub(crate) fn files(names: &[&str]) -> Self {
        let mut plain = Self::default();
        names
            .iter()
            .for_each(|name| plain.add(name, name.as_bytes()));
        plain
    }

    pub(crate) fn add(&mut self, path: &str, content: &[u8]) {
        let entry = Entry::File {
            path: path.to_owned(),
            size: Some(content.len() as u64),
            mtime: 1_700_000_000,
            mtime_ns: 0,
            executable: false,
        };
        table::write_line(&entry, &mut self.table);
        self.content.extend_from_slice(content);
        table::write_line(&FileDigest::of(content), &mut self.sums);
    }

    pub(crate) fn folder(&mut self, path: &str) {
        let (path, mtime, mtime_ns) = (path.to_owned(), 1_700_000_000, 0);
        let entry = Entry::Directory {
            path,
            mtime,
            mtime_ns,
        };
        table::write_line(&entry, &mut self.table);
    }

    pub(crate) fn link(&mut self, path: &str, target: &str) {
        let (path, target) = (path.to_owned(), target.to_owned());
        table::write_line(&Entry::Symlink { path, target }, &mut self.table);
    }
}

/// A sealed transfer that nobody has signed yet.
pub(crate) struct Parcel {
    pub(crate) manifest: Manifest,
    pub(crate) chunks: Vec<(ChunkId, Vec<u8>)>,
    pub(crate) key: FileKey,
}

impl Parcel {
    /// Seals `plain` from `sender` to `reader`.
    pub(crate) fn seal(sender: &Identity, reader: &Identity, mut plain: Plain) -> Self {
        let key = FileKey::generate().unwrap();
        let transfer_id = TransferId::generate().unwrap();
        let scope = WrapScope {
            key_id: key.commitment(),
            transfer_id,
            sender: sender.peer_id(),
        };
        let wrap = |to: &Identity| {
            let public = to.seal_keys()[0].public();
            Wrap::to_recipient(&key, scope, to.peer_id(), public).unwrap()
        };
        let wraps = vec![wrap(sender), wrap(reader)];
        let mut chunks = Vec::new();
        table::pad(&mut plain.table);
        table::pad(&mut plain.sums);
        let mut stream = |stream, plain: &[u8]| {
            let sealed = seal(&key, stream, plain);
            let ids = sealed.iter().map(|(id, _)| *id).collect::<Vec<_>>();
            chunks.extend(sealed);
            ids
        };
        let table = stream(Stream::Table, &plain.table);
        let content = stream(Stream::Content, &plain.content);
        let sums = stream(Stream::Sums, &plain.sums);
        let now = Timestamp::now();
        let offer = Offer {
            v: 1,
            transfer_id,
            created: now,
            expires: Some(now.plus_seconds(3600)),
            sender: sender.peer_id(),
            certificate: sender.certificate(),
            key_id: key.commitment(),
            chunk_size: MIN_CHUNK_SIZE,
            size: None,
            table,
            wraps,
        };
        Self {
            manifest: offer.complete(plain.content.len() as u64, content, sums),
            chunks,
            key,
        }
    }

    /// From now on it is `transfer_id` of `sender`, who and `readers` can open it.
    pub(crate) fn wrap_as(
        &mut self,
        transfer_id: TransferId,
        sender: &Identity,
        readers: &[&Identity],
    ) {
        let scope = WrapScope {
            key_id: self.key.commitment(),
            transfer_id,
            sender: sender.peer_id(),
        };
        let wrap = |to: &&Identity| {
            let public = to.seal_keys()[0].public();
            Wrap::to_recipient(&self.key, scope, to.peer_id(), public).unwrap()
        };
        self.manifest.transfer_id = transfer_id;
        self.manifest.wraps = [sender].iter().chain(readers).map(wrap).collect();
    }

    /// The request that announces it.
    pub(crate) fn announcing(&self, sender: &Identity) -> Vec<u8> {
        let offer = sign(&to_json(&self.manifest.to_offer()), Offer::TYPE, sender);
        let path = format!("/v1/offers/{}", self.manifest.transfer_id);
        request("PUT", &path, JSON, &offer)
    }

    /// The requests that put its chunks for it: table, content, sums.
    pub(crate) fn puts(&self) -> Vec<Vec<u8>> {
        let (transfer, manifest) = (self.manifest.transfer_id, &self.manifest);
        let put = |(id, sealed): &(ChunkId, Vec<u8>)| {
            let index = manifest.chunks.iter().position(|chunk| chunk == id);
            let index = index.map_or_else(String::new, |index| format!(";index={index}"));
            let header = format!("colis-offer: {transfer}{index}\r\n");
            request("PUT", &format!("/v1/chunks/{id}"), &header, sealed)
        };
        self.chunks.iter().map(put).collect()
    }

    /// The one of them that puts the content chunk `index`.
    pub(crate) fn putting(&self, index: usize) -> Vec<u8> {
        self.puts().swap_remove(self.manifest.table.len() + index)
    }

    /// The request that publishes it, and its id then.
    pub(crate) fn publishing(&self, sender: &Identity) -> (ManifestId, Vec<u8>) {
        let envelope = sign(&to_json(&self.manifest), Manifest::TYPE, sender);
        (ManifestId::of(&envelope), publishing(&envelope))
    }

    /// The offer of another transfer that has the same chunks.
    pub(crate) fn offer_again(&self, sender: &Identity, reader: &Identity) -> Offer {
        let transfer_id = TransferId::generate().unwrap();
        let scope = WrapScope {
            key_id: self.key.commitment(),
            transfer_id,
            sender: sender.peer_id(),
        };
        let wrap = |to: &Identity| {
            let public = to.seal_keys()[0].public();
            Wrap::to_recipient(&self.key, scope, to.peer_id(), public).unwrap()
        };
        Offer {
            transfer_id,
            wraps: vec![wrap(sender), wrap(reader)],
            ..self.manifest.to_offer()
        }
    }

    /// Stores its chunks with `a`.
    pub(crate) fn upload(&self, site: &Site) {
        for (_, sealed) in &self.chunks {
            assert!([200, 201].contains(&site.put_chunk(sealed).1.status));
        }
    }

    /// The same with its manifest, which is taken.
    pub(crate) fn send(&self, site: &Site, sender: &Identity) -> ManifestId {
        self.upload(site);
        let envelope = sign(&to_json(&self.manifest), Manifest::TYPE, sender);
        assert_eq!(publish(site, &envelope).status, 201);
        ManifestId::of(&envelope)
    }

    /// The one spelling of its manifest.
    pub(crate) fn text(&self) -> String {
        String::from_utf8(to_json(&self.manifest)).unwrap()
    }
}

fn seal(key: &FileKey, stream: Stream, plain: &[u8]) -> Vec<(ChunkId, Vec<u8>)> {
    let sealer = ChunkSealer::new(key, stream, MIN_CHUNK_SIZE);
    let pieces = plain.chunks(MIN_CHUNK_SIZE as usize);
    let count = pieces.len() as u64;
    let seal = |(index, piece): (u64, &[u8])| {
        let last = index + 1 == count;
        let sealed = sealer.seal(ChunkPosition { index, last }, piece).unwrap();
        (ChunkId::of(&sealed), sealed)
    };
    (0..).zip(pieces).map(seal).collect()
}

/// The envelope of whatever `payload` is, signed by `signer` in its own name.
pub(crate) fn sign(payload: &[u8], payload_type: &str, signer: &Identity) -> Vec<u8> {
    let signature = signer.sign(&dsse::pae(payload_type, payload)).unwrap();
    dsse::write(payload_type, payload, signer.peer_id(), &signature)
}

/// The request that publishes `envelope`, whatever it is.
pub(crate) fn publishing(envelope: &[u8]) -> Vec<u8> {
    let path = format!("/v1/manifests/{}", ManifestId::of(envelope));
    request("PUT", &path, JSON, envelope)
}

pub(crate) fn publish(site: &Site, envelope: &[u8]) -> Answer {
    site.talk(&publishing(envelope))
}
