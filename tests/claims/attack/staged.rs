//! A member that announces much and brings little: what is opened early takes what came and a little more, and goes when it is over.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

use colis::{
    id::{Digest, TransferId},
    manifest::{Signer as _, table},
    tls::Identity,
};
use testkit::{
    Homes, bytes,
    site::{Site, request},
    wait_for,
};

use crate::bad_input::parcel::{Parcel, Plain};

const CHUNK: usize = 64 << 10;
/// What is announced, and what may be taken for one chunk of it.
const HUGE: u64 = 256 << 20;
const LITTLE: u64 = 32 << 20;

/// A transfer of one huge file, of which two chunks are known.
fn huge(sender: &Identity, to: &Identity, name: &str) -> Parcel {
    let content = bytes(7, 2 * CHUNK);
    let mut plain = Plain {
        content: content.clone(),
        ..Plain::default()
    };
    let entry = table::Entry::File {
        path: name.to_owned(),
        size: Some(HUGE),
        mtime: 1_700_000_000,
        mtime_ns: 0,
        executable: false,
    };
    table::write_line(&entry, &mut plain.table);
    table::write_line(&Digest::of(&content), &mut plain.sums);
    let mut parcel = Parcel::seal(sender, to, plain);
    parcel.manifest.size = HUGE;
    parcel
}

/// Bytes that everything in `folder` takes of the disk.
fn taken(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    let each = entries.map(|entry| {
        let path = entry.unwrap().path();
        let metadata = fs::symlink_metadata(&path);
        let own = metadata.map_or(0, |metadata| metadata.blocks() * 512);
        own + if path.is_dir() { taken(&path) } else { 0 }
    });
    each.sum()
}

/// `b` announces a huge transfer and brings its first chunk, which `a` opens.
fn begun(site: &Site, name: &str) -> TransferId {
    let [a, b] = ["a", "b"].map(|name| site.identity(name));
    let parcel = huge(&b, &a, name);
    assert_eq!(site.talk(&parcel.announcing(&b)).status, 200);
    let (id, sealed) = &parcel.chunks[0];
    let put = request("PUT", &format!("/v1/chunks/{id}"), "", sealed);
    assert_eq!(site.talk(&put).status, 201);
    assert_eq!(site.talk(&parcel.putting(0)).status, 201);
    let staged = site.homes.home("a").join("received/.colis");
    let key = format!("{}-{}", parcel.manifest.transfer_id, b.peer_id());
    let file = staged.join(key).join("tree").join(name);
    wait_for("it is opened early", || {
        taken(file.parent().unwrap()) > CHUNK as u64 / 2
    });
    parcel.manifest.transfer_id
}

#[test]
fn what_is_announced_takes_no_disk_and_what_was_opened_goes_when_it_is_stopped() {
    let mut site = Site::of(Homes::new(&["b"]), &[]);
    let staged = site.homes.home("a").join("received/.colis");
    let ids: Vec<_> = (0..3).map(|n| begun(&site, &format!("f{n}"))).collect();
    let disk = taken(&staged);
    assert!(disk <= 3 * LITTLE, "{disk} of {}", 3 * HUGE);
    for id in &ids {
        site.homes.ok("a", &["inbox", "stop", &id.to_string()]);
    }
    wait_for("nothing is staged", || taken(&staged) == 0);
    // A peer that was killed has left it; the next one frees it.
    begun(&site, "g");
    site.serving.kill();
    assert!(taken(&staged) > 0, "nobody has freed it");
    site.serving = site.homes.serve("a", &[]);
    wait_for("nothing is staged", || taken(&staged) == 0);
    site.is_well();
}

#[test]
fn what_an_interrupted_receive_has_staged_goes_with_the_no_of_the_owner() {
    for serves in [true, false] {
        let mut site = Site::of(Homes::new(&["b"]), &["--inbox", "ask"]);
        let [a, b] = ["a", "b"].map(|name| site.identity(name));
        let parcel = Parcel::seal(&b, &a, Plain::files(&["f"]));
        let id = parcel.send(&site, &b).to_string();
        wait_for("it waits", || {
            site.homes.ok("a", &["inbox"]).contains(&id[..8])
        });
        if !serves {
            site.serving.kill();
        }
        // As a receive leaves it that was killed.
        let staged = site.homes.home("a").join("received/.colis");
        let key = format!("{}-{}", parcel.manifest.transfer_id, b.peer_id());
        fs::create_dir_all(staged.join(&key).join("tree")).unwrap();
        fs::write(staged.join(&key).join("tree/f"), "part").unwrap();
        fs::write(staged.join(&key).join("progress"), "how far").unwrap();
        site.homes.ok("a", &["inbox", "refuse", &id]);
        wait_for("nothing is staged", || !staged.join(&key).exists());
    }
}
