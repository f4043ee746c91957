//! The test vectors of the sealed format, judged three times: by crypto and manifest alone, by the rooms that a person's
//! transfer goes through, and by an independent decoder in another language.

mod open;
mod python;
mod vector;

use std::{path::Path, sync::Arc};

use colis::{
    crypto::password::Password,
    manifest::Manifest,
    received::Received,
    store::{MemoryStore, Store as _},
    transfer::{self, OpenedTransfer, ReceiveOptions, Silent},
};

use open::{Class, open, parse_and_verify};
use vector::{Vector, World};

/// Fewer than these were lost, not made unnecessary.
const AT_LEAST: usize = 200;

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

/// The rooms above must neither forget a check nor add one. Only manifests go through them; what a store itself refuses
/// never gets that far, and dates are judged by the clock on the wall, so vectors about dates stay out.
#[tokio::test]
async fn a_receive_writes_what_is_valid_and_nothing_else() {
    let world = World::load();
    let judged_by_clock = ["Expired", "FromTheFuture"];
    let mut received = 0;
    for vector in Vector::all() {
        let class = vector.expected.as_ref().err().map(String::as_str);
        let by_clock = class.is_some_and(|class| judged_by_clock.contains(&class));
        if vector.kind != "manifest" || vector.expires || by_clock || !vector.served.is_empty() {
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        let found = receive(&world, &vector, folder.path()).await;
        let name = &vector.name;
        match (&vector.expected, found) {
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
            store.put_chunk(id, sealed.into(), None).await?;
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
