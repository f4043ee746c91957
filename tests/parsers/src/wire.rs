//! JSON bodies that a peer answers or asks with.

use colis::wire::{
    ChunkList, Health, ManifestList, MissingAnswer, MissingQuestion, OfferBody, PeerBody, Problem,
    PutBody, ServerEvent, StateBody,
};
use serde::{Serialize, de::DeserializeOwned};

/// What is read can be written, and reads back the same.
fn reads_back<T: Serialize + DeserializeOwned>(data: &[u8]) {
    if let Ok(read) = serde_json::from_slice::<T>(data) {
        let written = serde_json::to_vec(&read).unwrap();
        let again: T = serde_json::from_slice(&written).unwrap();
        assert_eq!(serde_json::to_vec(&again).unwrap(), written);
    }
}

pub fn bodies(data: &[u8]) {
    reads_back::<ChunkList>(data);
    reads_back::<ManifestList>(data);
    reads_back::<MissingAnswer>(data);
    reads_back::<MissingQuestion>(data);
    reads_back::<OfferBody>(data);
    reads_back::<PeerBody>(data);
    reads_back::<Problem>(data);
    reads_back::<PutBody>(data);
    reads_back::<StateBody>(data);
    reads_back::<Health>(data);
    reads_back::<ServerEvent>(data);
}
