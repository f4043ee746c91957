//! Nobody fills a log, a history or a folder of states with transfers.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

use colis::{
    client::PeerClient,
    crypto::chunk::OVERHEAD,
    id::{PeerId, TransferId},
    manifest::Signer as _,
    store::Store as _,
    tls::{CertsDir, Identity},
};
use testkit::{
    Homes, Serving,
    person::set,
    sealed::{Draft, chunk, wrap_for},
    wait_for,
};

use super::{history, inbox_counts, logged};
use crate::members::kept::client;

/// What `c` needs to bring `b` a transfer of no bytes that cannot be opened. Its chunks are there.
pub(crate) async fn unopenable(
    homes: &Homes,
    b: &Serving,
) -> (Identity, PeerId, PeerClient, Draft) {
    let identity = |name| Identity::load(&CertsDir::new(homes.home(name).join("certs"))).unwrap();
    let (c, to) = (identity("c"), identity("b").peer_id());
    let client = client(homes, "c", b);
    let [table, sums] = [1, 2].map(|seed| chunk(seed, 256 + OVERHEAD));
    for (id, sealed) in [&table, &sums] {
        client.put_chunk(*id, sealed.clone(), None).await.unwrap();
    }
    let mut draft = Draft::new(&c, &[table.0, sums.0]);
    draft.offer.wraps.push(wrap_for(to));
    (c, to, client, draft)
}

/// A transfer of no bytes that cannot be opened, again and again under other ids.
#[tokio::test(flavor = "multi_thread")]
async fn transfers_that_cannot_be_opened_fill_neither_log_nor_history_nor_state() {
    const COUNT: usize = 60;
    let homes = Homes::new(&["b", "c"]);
    let b = homes.serve("b", &[]);
    let (c, _, client, mut draft) = unopenable(&homes, &b).await;
    for _ in 0..COUNT {
        draft.offer.transfer_id = TransferId::generate().unwrap();
        let manifest = draft.sign(&c);
        client.put_manifest(&manifest).await.unwrap();
        let id = manifest.id();
        wait_for("it is looked at", || {
            let state = homes
                .home("b")
                .join("chunks/state/transfers")
                .join(id.to_string());
            state.exists()
        });
        client.delete_manifest(id).await.unwrap();
    }
    let states = fs::read_dir(homes.home("b").join("chunks/state/transfers")).unwrap();
    assert_eq!(states.count(), 0);
    let lines = logged(&homes, "not opened");
    assert!((1..=11).contains(&lines.len()), "{}", lines.len());
    assert_eq!(lines[0]["sender"], "c");
    let entries = history(&homes, "refused").len();
    assert!((32..=33).contains(&entries), "{entries}");
    let count = inbox_counts(&homes, &b)["failed"].as_u64().unwrap();
    assert!(count >= COUNT as u64, "the rest is counted: {count}");
}

/// States of transfers that the disk cannot read.
#[test]
fn transfers_that_cannot_be_looked_at_fill_no_log_and_their_sender_is_said() {
    const COUNT: usize = 14;
    let homes = Homes::new(&["b", "c"]);
    let b = homes.serve("b", &[]);
    let states = homes.home("b").join("chunks/state/transfers");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-p", &b.id().to_string(), "-e", "trace=openat"]);
    strace.args(["-e", "inject=openat:error=EIO", "-o", "/dev/null", "-P"]);
    let strace = strace.arg(states).stderr(Stdio::piped()).spawn();
    let Ok(mut strace) = strace else {
        return eprintln!("not tried: it takes strace");
    };
    let mut attached = String::new();
    let mut said = BufReader::new(strace.stderr.take().unwrap());
    said.read_line(&mut attached).unwrap();
    if !attached.contains("attached") {
        return eprintln!("not tried: {attached}");
    }
    for number in 0..COUNT {
        let name = number.to_string();
        fs::write(homes.path(&name), &name).unwrap();
        homes.ok("c", &["send", &name, "--to", &b.to()]);
    }
    let lines = || logged(&homes, "cannot be looked at");
    wait_for("they are looked at", || lines().len() >= 10);
    strace.kill().unwrap();
    strace.wait().unwrap();
    let lines = lines();
    assert!((10..=11).contains(&lines.len()), "{lines:?}");
    for line in &lines {
        assert_eq!(
            (&line["sender"], &line["level"]),
            (&"c".into(), &"ERROR".into())
        );
        assert!(
            line["id"].as_str().is_some_and(|id| id.len() == 64),
            "{line}"
        );
    }
}

/// Many small transfers of a sender about whose transfers the owner is asked.
#[tokio::test(flavor = "multi_thread")]
async fn transfers_that_wait_fill_neither_log_nor_history_and_all_of_them_wait() {
    const COUNT: usize = 60;
    let homes = Homes::new(&["b", "c"]);
    set(&homes, "b", "inbox", "ask");
    let b = homes.serve("b", &[]);
    let (c, _, client, mut draft) = unopenable(&homes, &b).await;
    for _ in 0..COUNT {
        draft.offer.transfer_id = TransferId::generate().unwrap();
        client.put_manifest(&draft.sign(&c)).await.unwrap();
    }
    let waiting = || inbox_counts(&homes, &b)["left_waiting"].as_u64();
    wait_for("all are looked at", || waiting() == Some(COUNT as u64));
    let lines = logged(&homes, "not opened unasked");
    assert!((1..=11).contains(&lines.len()), "{}", lines.len());
    assert_eq!(
        (&lines[0]["sender"], &lines[0]["silenced"]),
        (&"c".into(), &0.into())
    );
    let entries = history(&homes, "waiting");
    assert!((32..=33).contains(&entries.len()), "{}", entries.len());
    assert!(entries[0]["left_out"] == 0, "{}", entries[0]);
    let inbox = homes.ok("b", &["--json", "inbox"]);
    assert_eq!(inbox.matches("\"event\":\"waiting\"").count(), COUNT);
}
