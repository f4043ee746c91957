//! The test vectors of the sealed format, judged three times: by crypto and manifest alone, by the rooms that a person's
//! transfer goes through, and by an independent decoder in another language.

mod locked;
mod open;
mod python;
mod vector;

use std::{path::Path, sync::Arc};

use colis::{
    crypto::password::Password,
    manifest::{Manifest, table::Entry},
    received::Received,
    store::{MemoryStore, Store as _},
    transfer::{self, OpenedTransfer, ReceiveOptions, Silent},
};

use data_encoding::HEXLOWER;

use open::{Class, open, parse_and_verify};
use vector::{Vector, World};

/// Fewer than these were lost, not made unnecessary.
const AT_LEAST: usize = 200;
const REFUSED_BY_STORE: &str = "refused by the store";

#[test]
fn every_vector_opens_or_is_refused_as_it_says() {
    let world = World::load();
    let vectors = Vector::all();
    assert!(vectors.len() >= AT_LEAST, "only {} vectors", vectors.len());
    for vector in &vectors {
        let (name, found) = (&vector.name, open(&world, vector));
        match (&vector.expected, found) {
            (Err(class), Err(Class(found))) => assert_eq!(found, *class, "{name}"),
            (Ok(expected), Ok(found)) => {
                for (field, value) in expected {
                    assert_eq!(found.get(field), Some(value), "{name}: {field}");
                }
            }
            (_, found) => panic!("{name}: {found:?}"),
        }
    }
}

/// The rooms above must neither forget a check nor add one. Only manifests go through them. Left out is what a store
/// refuses before, and what is about dates: those rooms ask the clock on the wall.
#[tokio::test]
async fn a_receive_writes_what_is_valid_and_nothing_else() {
    let world = World::load();
    let elsewhere = ["Expired", "FromTheFuture", "HashMismatch"];
    let mut received = 0;
    for vector in Vector::all() {
        let class = vector.expected.as_ref().err().map(String::as_str);
        let is_elsewhere = class.is_some_and(|class| elsewhere.contains(&class));
        if vector.kind != "manifest" || vector.expires || is_elsewhere {
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        let found = receive(&world, &vector, folder.path()).await;
        let name = &vector.name;
        match (&vector.expected, found) {
            (Err(_), Err(Class(found))) if found == REFUSED_BY_STORE => continue,
            (Err(class), Err(Class(found))) => assert_eq!(found, *class, "{name}"),
            (Ok(_), Ok(skipped)) => assert_eq!(skipped, vector.skipped_links, "{name}"),
            (_, found) => panic!("{name}: {found:?}"),
        }
        let visible = std::fs::read_dir(folder.path()).unwrap().filter(|entry| {
            let name = entry.as_ref().unwrap().file_name();
            name != ".colis"
        });
        assert_eq!(visible.count() > 0, vector.expected.is_ok(), "{name}");
        received += 1;
    }
    assert!(received >= AT_LEAST / 2, "only {received} received");
}

async fn receive(world: &World, vector: &Vector, into: &Path) -> Result<Vec<String>, Class> {
    let (manifest, _) = parse_and_verify::<Manifest>(world, vector)?;
    let store = MemoryStore::default();
    for id in manifest.payload().all_chunks() {
        if let Ok(sealed) = world.chunk(vector, id) {
            let put = store.put_chunk(id, sealed.into(), None).await;
            put.map_err(|_| Class(REFUSED_BY_STORE.into()))?;
        }
    }
    let mut reader = world.reader(vector);
    reader.password = vector.password.as_deref().map(Password::new);
    let transfer = Arc::new(OpenedTransfer::open(&store, manifest, &reader).await?);
    let root = Arc::new(Received::open(into)?);
    let options = ReceiveOptions::default();
    let done = transfer::receive(&store, &transfer, &root, options, &Silent).await?;
    Ok(done.skipped_links)
}

#[test]
fn an_independent_decoder_judges_every_vector_alike() {
    let printed = python::run(&["decode.py"]);
    let last = printed.lines().last().unwrap_or_default();
    assert_eq!(
        last,
        format!("{} passed, 0 failed", Vector::all().len()),
        "{printed}"
    );
}

#[test]
fn the_generator_writes_the_same_bytes_again() {
    let folder = tempfile::tempdir().unwrap();
    python::run(&["generate.py", folder.path().to_str().unwrap()]);
    let (committed, again) = (vector::files(&vector::root()), vector::files(folder.path()));
    let generated = |name: &&String| name.ends_with(".json") || name.starts_with("data/");
    assert_eq!(
        committed.keys().filter(generated).collect::<Vec<_>>(),
        again.keys().collect::<Vec<_>>()
    );
    for (name, bytes) in &again {
        assert!(committed[name] == *bytes, "{name} differs");
    }
}

#[test]
fn the_worked_example_of_the_page_is_a_vector() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/format.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, example) = page.split_once("## A worked example").unwrap();
    let (world, all) = (World::load(), Vector::all());
    let vector = all.iter().find(|v| v.name == "valid/size-1").unwrap();
    let (manifest, _) = parse_and_verify::<Manifest>(&world, vector).ok().unwrap();
    let payload = manifest.payload();
    let sealed = world.chunk(vector, payload.chunks[0]).ok().unwrap();
    let (nonce, rest) = sealed.split_at(12);
    let (ciphertext, tag) = rest.split_at(1);
    let mut facts: Vec<String> = payload.all_chunks().map(|id| id.to_string()).collect();
    facts.extend([nonce, ciphertext, tag, payload.key_id.as_bytes()].map(|b| HEXLOWER.encode(b)));
    facts.extend([payload.transfer_id.to_string(), payload.sender.to_string()]);
    facts.extend([
        manifest.id().to_string(),
        world.reader(vector).seal_keys[0].public().id().to_string(),
    ]);
    let opened = vector.expected.as_ref().unwrap();
    facts.extend([&opened["file_key"], &opened["sums"][0]].map(|v| v.as_str().unwrap().to_owned()));
    let entry: Entry = serde_json::from_value(opened["entries"][0].clone()).unwrap();
    facts.push(serde_json::to_string(&entry).unwrap());
    for fact in facts {
        assert!(example.contains(&fact), "{fact} is not in the example");
    }
}
