//! The reserve of a disk, in bytes and in files: whatever writes, it stays free.

use std::{fs, io::Write as _, path::PathBuf, process::Command};

use colis::{
    disk::Disk,
    id::ChunkId,
    manifest::{Manifest, Payload as _, to_json},
    tls::Identity,
};

use crate::bad_input::parcel::{Parcel, Plain, publish, sign};
use testkit::site::{Answer, Site, certificate, certs, key, read_to_close, request, shows};
use testkit::{Homes, bytes, has, wait_for};

const STORAGE: i32 = 7;
const MIB: u64 = 1 << 20;
/// What the program writes about transfers: manifests, states, logs.
const OWN: u64 = 2 * MIB;

/// A small disk in memory.
struct Small(PathBuf);

impl Small {
    /// Mounts one where `homes` has this home; `None` where that cannot be done.
    fn mount(homes: &Homes, home: &str, options: &str) -> Option<Self> {
        if !rustix::process::geteuid().is_root() || !has("mount") {
            eprintln!("not tried: only root can mount a disk");
            return None;
        }
        let (folder, kept) = (homes.home(home), homes.path("kept"));
        fs::rename(&folder, &kept).unwrap();
        fs::create_dir(&folder).unwrap();
        run(Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(&folder));
        run(Command::new("cp")
            .arg("-a")
            .arg(kept.join("certs"))
            .arg(&folder));
        Some(Self(folder))
    }

    fn disk(&self) -> Disk {
        Disk::at(&self.0).unwrap()
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn run(command: &mut Command) {
    assert!(command.status().unwrap().success(), "{command:?}");
}

/// Puts a chunk as `a` itself, which is bounded by its disk alone.
fn put_as_owner(site: &Site, sealed: &[u8]) -> Answer {
    let a = certs(&site.homes, "a");
    let config = shows(&site.homes, vec![certificate(&a)], key(&a));
    let mut stream = site.connect(config);
    let path = format!("/v1/chunks/{}", ChunkId::of(sealed));
    // A peer that has heard enough may close before the end.
    let _ = stream.write_all(&request("PUT", &path, "", sealed));
    read_to_close(&mut stream)
}

/// Brings a transfer without an offer, and waits until `a` has said what became of it.
fn bring(site: &Site, plain: Plain) -> String {
    let of = |name| Identity::load(&certs(&site.homes, name)).unwrap();
    let parcel = Parcel::seal(&of("b"), &of("a"), plain);
    for (_, sealed) in &parcel.chunks {
        assert_eq!(put_as_owner(site, sealed).status, 201);
    }
    let envelope = sign(&to_json(&parcel.manifest), Manifest::TYPE, &of("b"));
    assert_eq!(publish(site, &envelope).status, 201);
    let arrivals = || site.serving.said();
    wait_for("an arrival", || !arrivals().is_empty());
    arrivals()[0].to_string()
}

#[test]
fn the_inbox_and_receive_leave_the_reserve_of_bytes() {
    const RESERVE: u64 = 24 * MIB;
    let homes = Homes::new(&["b"]);
    let Some(small) = Small::mount(&homes, "a", "size=64m,mode=700") else {
        return;
    };
    homes.ok("a", &["config", "set", "reserve", "24MiB"]);
    let site = Site::of(homes, &[]);
    let mut plain = Plain::default();
    // Many files: none of them is too large alone.
    (0..30).for_each(|n| plain.add(&format!("{n:02}"), &bytes(n, MIB as usize)));
    let said = bring(&site, plain);
    assert!(
        said.contains("waiting") && said.contains("no space"),
        "{said}"
    );
    assert!(small.disk().free + OWN >= RESERVE, "{:?}", small.disk());
    let Site { homes, serving } = site;
    drop(serving);
    let said = homes.fails("a", &["receive", "--all"], STORAGE);
    assert!(said.contains("no space"), "{said}");
    assert!(small.disk().free + OWN >= RESERVE, "{:?}", small.disk());
}

#[test]
fn a_table_of_more_files_than_the_disk_can_have_makes_none_of_them() {
    const FILES: u64 = 4_000;
    let homes = Homes::new(&["b"]);
    let options = format!("size=64m,mode=700,nr_inodes={FILES}");
    let Some(small) = Small::mount(&homes, "a", &options) else {
        return;
    };
    let site = Site::of(homes, &[]);
    let mut plain = Plain::files(&["content"]);
    (0..FILES).for_each(|n| plain.add(&format!("{n}"), b""));
    let said = bring(&site, plain);
    assert!(
        said.contains("waiting") && said.contains("so many files"),
        "{said}"
    );
    let files = |small: &Small| small.disk().files.unwrap().0;
    assert!(files(&small) > FILES / 2, "{:?}", small.disk());
    let Site { homes, serving } = site;
    drop(serving);
    let said = homes.fails("a", &["receive", "--all"], STORAGE);
    assert!(said.contains("so many files"), "{said}");
    assert!(files(&small) > FILES / 2, "{:?}", small.disk());
}

#[test]
fn a_store_takes_no_chunk_into_the_reserve_of_files() {
    const FILES: u64 = 600;
    let homes = Homes::new(&["b"]);
    let options = format!("size=64m,mode=700,nr_inodes={FILES}");
    let Some(small) = Small::mount(&homes, "a", &options) else {
        return;
    };
    let site = Site::of(homes, &["--inbox", "off"]);
    let refused = (0..FILES).find_map(|n| {
        let answer = put_as_owner(&site, &[&[0; 40][..], &n.to_be_bytes()].concat());
        (answer.status != 201).then_some(answer)
    });
    let refused = refused.unwrap();
    let said = String::from_utf8_lossy(&refused.body);
    assert!(refused.status == 507 && said.contains("files"), "{said}");
    // A fiftieth.
    assert!(
        small.disk().files.unwrap().0 >= FILES / 50 - 5,
        "{:?}",
        small.disk()
    );
}
