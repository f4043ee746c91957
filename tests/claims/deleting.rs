//! Undo: a transfer is deleted here, or recalled from a peer; and what is opened takes no disk twice.

use std::{fs, path::Path};

use colis::manifest::Timestamp;
use serde_json::Value;
use testkit::{Homes, Ran, bytes, person::Person, wait_for};

fn write(homes: &Homes, name: &str, seed: u64, length: usize) {
    fs::write(homes.path(name), bytes(seed, length)).unwrap();
}

/// The id of what `args` sends or shares.
fn manifest(homes: &Homes, home: &str, args: &[&str]) -> String {
    let ran = homes.run(home, &[&["--json"], args].concat());
    assert_eq!(ran.code, 0, "{ran:?}");
    ran.object("sent")["id"].as_str().unwrap().to_owned()
}

/// Bytes of all files below.
fn bytes_below(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => bytes_below(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    });
    sizes.sum()
}

fn stored(homes: &Homes, home: &str) -> u64 {
    bytes_below(&homes.home(home).join("chunks/data"))
}

fn trash(homes: &Homes, home: &str) -> u64 {
    bytes_below(&homes.home(home).join("chunks/trash"))
}

fn deleted(ran: &Ran) -> Value {
    assert_eq!(ran.code, 0, "{ran:?}");
    ran.object("deleted")
}

#[test]
fn a_transfer_is_deleted_from_the_own_store_served_or_not_and_what_others_need_stays() {
    let homes = Homes::new(&["b"]);
    write(&homes, "f", 1, 3 << 20);
    for is_served in [false, true] {
        let serving = is_served.then(|| homes.serve("a", &[]));
        let id = manifest(&homes, "a", &["share", "f", "--to", "a"]);
        let had = stored(&homes, "a");
        let ran = homes.run("a", &["--json", "delete", &id[..10], "--dry-run"]);
        let would = ran.object("would-delete");
        assert_eq!(would["freed"]["shared_chunks"], 0, "{would}");
        assert!(
            would["freed"]["bytes"].as_u64().unwrap() > 3 << 20,
            "{would}"
        );
        assert_eq!(stored(&homes, "a"), had, "nothing is done");
        // Neither a terminal nor a yes.
        let refused = homes.fails("a", &["delete", &id], 2);
        assert!(refused.contains("--yes"), "{refused}");
        let gone = deleted(&homes.run("a", &["--json", "delete", &id[..10], "--yes"]));
        assert_eq!(
            (&gone["id"], &gone["at"]),
            (&id.clone().into(), &Value::Null)
        );
        assert_eq!(gone["freed"], would["freed"], "as it was said");
        assert_eq!(stored(&homes, "a"), 0, "{is_served}");
        assert!(trash(&homes, "a") > 3 << 20);
        homes.ok("a", &["gc", "--unfinished"]);
        assert_eq!(trash(&homes, "a"), 0);
        let again = homes.fails("a", &["delete", &id, "--yes"], 6);
        assert!(again.contains("local store"), "{again}");
        drop(serving);
    }
    // One transfer under two manifests: each needs all of it.
    let b = homes.serve("b", &[]);
    homes.ok("a", &["peers", "add", &b.to()]);
    let first = manifest(&homes, "a", &["share", "f", "--to", "a"]);
    let envelope = fs::read(homes.home("a").join("chunks/manifests").join(&first)).unwrap();
    homes.ok("a", &["grant", &first, "--to", "b"]);
    let had = stored(&homes, "a");
    // It is put back beside its successor, as a store of before would have it.
    fs::write(
        homes.home("a").join("chunks/manifests").join(&first),
        envelope,
    )
    .unwrap();
    let gone = deleted(&homes.run("a", &["--json", "delete", &first, "--yes"]));
    assert_eq!(gone["freed"]["chunks"], 0, "{gone}");
    assert!(gone["freed"]["shared_bytes"].as_u64().unwrap() > 3 << 20);
    assert_eq!(stored(&homes, "a"), had);
}

#[test]
fn what_was_sent_is_recalled_and_what_was_opened_stays_and_is_said() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &["--inbox", "ask"]);
    write(&homes, "f", 1, 100_000);
    write(&homes, "g", 2, 100_000);
    let id = manifest(&homes, "a", &["send", "f", "--to", &b.to()]);
    let gone = deleted(&homes.run("a", &["--json", "delete", "f", "--at", "b", "--yes"]));
    assert_eq!((&gone["id"], &gone["at"]), (&id.into(), &"b".into()));
    assert_eq!(
        (&gone["opened"], &gone["freed"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(homes.ok("b", &["list"]), "");
    wait_for("that nothing waits any more", || {
        homes.run("b", &["inbox"]).err.contains("nothing waits")
    });
    // Opened by b alone, it is not kept there: nothing can be recalled.
    let id = manifest(&homes, "a", &["send", "g", "--to", &b.to()]);
    homes.ok("b", &["inbox", "accept", &id]);
    for name in [&id[..8], "g"] {
        let said = homes.fails("a", &["delete", name, "--at", "b", "--yes"], 6);
        assert!(
            said.contains("b opened it at") && said.contains("the files there stay"),
            "{said}"
        );
    }
    assert!(homes.home("b").join("received/g").exists());
}

#[test]
fn only_its_sender_and_the_owner_of_the_store_delete_a_transfer() {
    let homes = Homes::new(&["b", "c"]);
    let b = homes.serve("b", &["--inbox", "off"]);
    write(&homes, "f", 1, 100_000);
    let id = manifest(&homes, "a", &["send", "f", "--to", &b.to()]);
    homes.ok("c", &["peers", "add", &b.to()]);
    let refused = homes.fails("c", &["delete", &id, "--at", "b", "--yes"], 4);
    assert!(refused.contains("not ours"), "{refused}");
    // By name it is none of c's either, and several ids are all or nothing.
    homes.fails("c", &["delete", "f", "--at", "b", "--yes"], 6);
    let mine = manifest(&homes, "c", &["send", "f", "--to", "b"]);
    homes.fails("c", &["delete", &mine, &id, "--at", "b", "--yes"], 4);
    assert_eq!(homes.ok("b", &["list"]).lines().count(), 2);
    homes.ok("b", &["delete", &id, &mine, "--yes"]);
    assert_eq!(homes.ok("b", &["list"]), "");
}

#[test]
fn a_name_that_several_have_is_listed_with_ids_and_nothing_goes() {
    let homes = Homes::new(&[]);
    write(&homes, "f", 1, 1_000);
    let ids = [0, 1].map(|_| manifest(&homes, "a", &["share", "f", "--to", "a"]));
    let ran = homes.run("a", &["delete", "f", "--yes"]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ids.iter().all(|id| ran.err.contains(&id[..8])), "{ran:?}");
    assert_eq!(homes.ok("a", &["list"]).lines().count(), 2);
    homes.ok("a", &["delete", &ids[0], &ids[1], "--yes"]);
    assert_eq!(homes.ok("a", &["list"]), "");
}

#[test]
fn on_a_terminal_it_is_asked_and_an_empty_line_is_a_no() {
    let homes = Homes::new(&[]);
    write(&homes, "f", 1, 1_000);
    let id = manifest(&homes, "a", &["share", "f", "--to", "a"]);
    for (answer, lines) in [("", 1), ("n", 1), ("y", 0)] {
        let command = homes.command("a", &["delete", &id]);
        let mut person = Person::at_terminal(&homes, command, "xterm-256color");
        person.sees("Delete it?");
        person.types(answer);
        assert_eq!(person.ends(), 0);
        assert_eq!(
            homes.ok("a", &["list"]).lines().count(),
            lines,
            "{answer:?}"
        );
    }
}

#[test]
fn what_is_for_us_alone_goes_once_it_is_opened_and_what_others_collect_stays() {
    let homes = Homes::new(&["b", "c"]);
    let b = homes.serve("b", &[]);
    write(&homes, "f", 1, 3 << 20);
    homes.ok("a", &["send", "f", "--to", &b.to(), "--wait"]);
    wait_for("its chunks to go", || stored(&homes, "b") == 0);
    assert_eq!(trash(&homes, "b"), 0);
    assert_eq!(homes.ok("b", &["list"]), "");
    assert_eq!(
        fs::read(homes.home("b").join("received/f")).unwrap(),
        bytes(1, 3 << 20)
    );
    // Its receipt stays: it does not come twice.
    let checked = homes.ok("b", &["check", "--read-data"]);
    assert!(checked.contains("0 chunks"), "{checked}");
    // With more recipients it stays for them.
    let c = homes.serve("c", &[]);
    let to = format!("{},{}", b.to(), c.to());
    let args = ["send", "f", "--to", &to, "--wait"];
    let id = manifest(&homes, "a", &args);
    assert!(homes.ok("b", &["list"]).contains(&id[..8]));
    assert!(stored(&homes, "b") > 3 << 20);
    let status = homes.ok("b", &["status"]);
    assert!(
        status.contains("opened and still sealed here: 1 transfer"),
        "{status}"
    );
}

#[test]
fn a_chunk_that_another_has_put_too_stays_when_a_transfer_is_let_go() {
    let homes = Homes::new(&["b", "c"]);
    let b = homes.serve("b", &["--inbox", "ask"]);
    write(&homes, "f", 1, 200_000);
    let id = manifest(&homes, "a", &["send", "f", "--to", &b.to()]);
    // c has seen the chunks, and puts one again: it is told that it is there.
    let shard = fs::read_dir(homes.home("b").join("chunks/data"))
        .unwrap()
        .flatten();
    let chunks = shard.flat_map(|shard| fs::read_dir(shard.path()).unwrap().flatten());
    let chunk = chunks
        .max_by_key(|chunk| chunk.metadata().unwrap().len())
        .unwrap()
        .path();
    let name = chunk.file_name().unwrap().to_str().unwrap().to_owned();
    let copy = homes.path("copy");
    fs::copy(&chunk, &copy).unwrap();
    let certs = homes.home("c").join("certs");
    let mut curl = std::process::Command::new("curl");
    curl.args(["-s", "-o", "/dev/null", "-w", "%{http_code}", "-T"])
        .arg(&copy);
    curl.arg("--cacert").arg(certs.join("ca-cert.pem"));
    curl.arg("--cert").arg(certs.join("client-cert.pem"));
    curl.arg("--key").arg(certs.join("client-key.pem"));
    curl.args(["-H", "content-type: application/octet-stream"]);
    let out = curl
        .arg(format!("https://{}/v1/chunks/{name}", b.to()))
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&out.stdout), "200");
    homes.ok("b", &["inbox", "accept", &id]);
    assert_eq!(homes.ok("b", &["list"]), "");
    assert!(chunk.exists(), "acknowledged, then gone");
    let data = homes.home("b").join("chunks/data");
    assert_eq!(
        bytes_below(&data),
        fs::metadata(&copy).unwrap().len(),
        "the rest went"
    );
}

#[test]
fn a_quota_lets_go_of_the_oldest_opened_and_never_of_what_waits() {
    let homes = Homes::new(&["b", "c"]);
    fs::write(
        homes.home("b").join("colis.toml"),
        "quota = \"2560KiB\"\nkeep_opened = \"1d\"\n",
    )
    .unwrap();
    let b = homes.serve("b", &[]);
    let send = |name: &str, seed| {
        write(&homes, name, seed, 1 << 20);
        let id = manifest(&homes, "a", &["send", name, "--to", &b.to(), "--wait"]);
        // The oldest is told by the second in which it was opened.
        let now = Timestamp::now();
        wait_for("the next second", || Timestamp::now() > now);
        id
    };
    let mut ids: Vec<_> = (0..5).map(|n| send(&format!("f{n}"), n)).collect();
    let list = homes.ok("b", &["list"]);
    let kept: Vec<_> = ids.iter().filter(|id| list.contains(&id[..8])).collect();
    assert_eq!(kept, [&ids[3], &ids[4]], "the newest two fit");
    // Nothing goes for what could not fit in any case.
    write(&homes, "large", 8, 4 << 20);
    homes.fails("a", &["send", "large", "--to", &b.to()], 7);
    assert_eq!(homes.ok("b", &["list"]), list);
    // What is not opened is not let go for others: only then it is full.
    homes.ok("b", &["config", "set", "inbox", "off"]);
    for n in 5..7 {
        write(&homes, "g", n, 1 << 20);
        ids.push(manifest(&homes, "a", &["send", "g", "--to", &b.to()]));
    }
    write(&homes, "h", 9, 1 << 20);
    let full = homes.fails("a", &["send", "h", "--to", &b.to()], 7);
    assert!(full.contains("quota"), "{full}");
    let list = homes.ok("b", &["list"]);
    assert!(ids[5..].iter().all(|id| list.contains(&id[..8])), "{list}");
    assert_eq!(list.lines().count(), 2);
}
