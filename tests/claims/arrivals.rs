//! Arrivals for the program that runs a peer: none is missed, and it answers those that wait.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use colis::{
    crypto::password::Password,
    discover::Discovery,
    peer::{
        AnswerError, Arrival, ArrivalSeq, ArrivalsEnded, DecidedBy, InboxMode, InboxPolicy,
        Outcome, Peer, PeerHandle, PeerOptions,
    },
    session::{SendRequest, Sent, Session},
    store::{Store as _, TransferState, WaitReason},
    transfer::{Sources, TransferError},
};
use testkit::{Homes, bytes};

/// Runs the peer of b in this process.
fn run(homes: &Homes, mode: InboxMode) -> PeerHandle {
    let mut options = PeerOptions::at(homes.home("b"));
    options.discovery = Discovery::Off;
    options.inbox.policy.default.mode = mode;
    let peer = Peer::open(options).unwrap();
    let handle = peer.handle();
    tokio::spawn(peer.run(std::future::pending()));
    handle
}

fn at(b: &PeerHandle) -> String {
    format!("localhost:{}", b.address().port())
}

/// Sends from a to b what is `called` so and has this content.
async fn send(homes: &Homes, b: &PeerHandle, called: &str, content: &[u8]) -> Sent {
    send_with(homes, b, called, content, |_| {}).await
}

async fn send_with(
    homes: &Homes,
    b: &PeerHandle,
    called: &str,
    content: &[u8],
    change: impl FnOnce(&mut SendRequest),
) -> Sent {
    let path = homes.path(called);
    fs::write(&path, content).unwrap();
    let session = Session::open(homes.home("a")).unwrap();
    let mut request = SendRequest::to([at(b)]);
    change(&mut request);
    let sources = Sources::walk(&[path]).unwrap();
    session.send(sources, &request).await.unwrap()
}

/// The only name at the top of what was opened.
fn opened(arrival: &Arrival) -> String {
    let Outcome::Opened(files) = &arrival.outcome else {
        panic!("{arrival:?}")
    };
    let [path] = files.paths.as_slice() else {
        panic!("{files:?}")
    };
    assert!(path.exists());
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

/// What is told of arrivals, in short.
fn told(arrival: &Arrival) -> (DecidedBy, &'static str) {
    let outcome = match &arrival.outcome {
        Outcome::Opened(_) => "opened",
        Outcome::Waiting(_) => "waiting",
        Outcome::Refused { .. } => "refused",
        _ => "other",
    };
    (arrival.decided, outcome)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_was_not_there_is_told_what_has_arrived_since() {
    let homes = Homes::new(&["b"]);
    let b = run(&homes, InboxMode::Auto);
    let mut live = b.arrivals();
    let sent = send(&homes, &b, "one", b"1").await;
    let first = live.recv().await.unwrap();
    assert_eq!(opened(&first), "one");
    assert_eq!(
        (first.transfer, Some(first.id), first.size),
        (sent.transfer, sent.manifest, 1)
    );
    assert_eq!(first.sender_name.as_deref(), Some("a"));
    send(&homes, &b, "two", b"2").await;
    let second = live.recv().await.unwrap();
    assert!(second.seq > first.seq && second.at >= first.at);
    b.shutdown().await;
    assert_eq!(live.recv().await, Err(ArrivalsEnded));

    let b = run(&homes, InboxMode::Auto);
    let mut again = b.arrivals_after(first.seq);
    assert_eq!(again.recv().await.unwrap(), second, "all of it is kept");
    assert!(again.try_recv().await.is_none());
    send(&homes, &b, "three", b"3").await;
    assert_eq!(opened(&again.recv().await.unwrap()), "three");

    let mut all = b.arrivals_after(ArrivalSeq::START);
    b.shutdown().await;
    let mut names = Vec::new();
    while let Ok(arrival) = all.recv().await {
        let line = serde_json::to_string(&arrival).unwrap();
        let read: Arrival = serde_json::from_str(&line).unwrap();
        assert_eq!(read, arrival, "{line}");
        names.push(opened(&arrival));
    }
    assert_eq!(names, ["one", "two", "three"]);
    let ended = b.arrivals_after(second.seq).recv().await.unwrap();
    assert_eq!(opened(&ended), "three", "also of a peer that has ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_reads_late_misses_nothing() {
    const MANY: usize = 100;
    let homes = Homes::new(&["b"]);
    let b = run(&homes, InboxMode::Auto);
    let mut slow = b.arrivals();
    let (mut fast, count) = (b.arrivals(), Arc::new(AtomicUsize::new(0)));
    let counted = count.clone();
    let fast = tokio::spawn(async move {
        while fast.recv().await.is_ok() {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    for number in 0..MANY {
        send(
            &homes,
            &b,
            &format!("f{number}"),
            number.to_string().as_bytes(),
        )
        .await;
    }
    while count.load(Ordering::Relaxed) < MANY {
        tokio::task::yield_now().await;
    }
    b.shutdown().await;
    fast.await.unwrap();
    let mut names = Vec::new();
    while let Ok(arrival) = slow.recv().await {
        names.push(opened(&arrival));
    }
    let expected: Vec<_> = (0..MANY).map(|number| format!("f{number}")).collect();
    assert_eq!(names, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_answers_what_waits_in_the_program_that_serves() {
    let homes = Homes::new(&["b"]);
    let b = run(&homes, InboxMode::Ask);
    let mut arrivals = b.arrivals();
    let wanted = send(&homes, &b, "wanted", b"yes").await.manifest.unwrap();
    arrivals.recv().await.unwrap();
    let unwanted = send(&homes, &b, "unwanted", b"no").await.manifest.unwrap();
    let waits = arrivals.recv().await.unwrap();
    assert_eq!(told(&waits), (DecidedBy::Inbox, "waiting"));
    let mut waiting = b.waiting().await.unwrap();
    waiting.sort_by_key(|one| one.info.id != wanted);
    assert_eq!(
        waiting.iter().map(|one| one.info.id).collect::<Vec<_>>(),
        [wanted, unwanted]
    );
    assert_eq!(waiting[0].sender_name.as_deref(), Some("a"));
    assert_eq!(waiting[0].waits, Some(WaitReason::Asks));

    let files = b.accept(wanted, None).await.unwrap();
    assert_eq!(fs::read(&files.paths[0]).unwrap(), b"yes");
    b.refuse(unwanted).await.unwrap();
    for (manifest, outcome) in [(wanted, "opened"), (unwanted, "refused")] {
        let arrival = arrivals.recv().await.unwrap();
        assert_eq!(
            (arrival.id, told(&arrival)),
            (manifest, (DecidedBy::Owner, outcome))
        );
    }
    let a = Session::open(homes.home("a")).unwrap();
    let peer = a.connect(&at(&b)).await.unwrap().client;
    let state = async |id| peer.manifest_state(id).await.unwrap().state;
    assert_eq!(state(wanted).await, TransferState::Opened);
    assert_eq!(state(unwanted).await, TransferState::Refused);
    assert!(b.waiting().await.unwrap().is_empty());
    for answered in [
        b.accept(wanted, None).await.err(),
        b.refuse(wanted).await.err(),
    ] {
        assert!(
            matches!(answered, Some(AnswerError::NotWaiting(id)) if id == wanted),
            "{answered:?}"
        );
    }
    b.accept(unwanted, None).await.unwrap();
    b.shutdown().await;
    assert!(matches!(b.waiting().await, Err(AnswerError::Ended)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_a_password_opens_is_accepted_with_it() {
    let homes = Homes::new(&["b"]);
    let b = run(&homes, InboxMode::Auto);
    let mut arrivals = b.arrivals();
    let sent = send_with(&homes, &b, "locked", b"secret", |request| {
        request.via = std::mem::take(&mut request.to);
        request.sealing.password = Some(Password::new("several easy words"));
    });
    let id = sent.await.manifest.unwrap();
    assert_eq!(told(&arrivals.recv().await.unwrap()).1, "waiting");
    assert_eq!(
        b.waiting().await.unwrap()[0].waits,
        Some(WaitReason::Locked)
    );
    let refused = b.accept(id, None).await.unwrap_err();
    assert!(matches!(
        refused,
        AnswerError::Open(TransferError::PasswordNeeded)
    ));
    let wrong = b.accept(id, Some(Password::new("other words"))).await;
    assert!(matches!(wrong, Err(AnswerError::Open(_))), "{wrong:?}");
    assert_eq!(b.waiting().await.unwrap().len(), 1, "it waits as before");
    let right = Some(Password::new("several easy words"));
    let files = b.accept(id, right).await.unwrap();
    assert_eq!(fs::read(&files.paths[0]).unwrap(), b"secret");
    b.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_answered_by_another_process_arrives_too() {
    let homes = Homes::new(&["b"]);
    let b = run(&homes, InboxMode::Ask);
    let elsewhere = Session::open(homes.home("b")).unwrap();
    let (mut arrivals, mut there) = (b.arrivals(), elsewhere.arrivals(None));
    for name in ["wanted", "unwanted"] {
        let id = send(&homes, &b, name, b"x").await.manifest.unwrap();
        assert_eq!(told(&arrivals.recv().await.unwrap()).1, "waiting");
        let answer = if name == "wanted" { "accept" } else { "refuse" };
        homes.ok("b", &["inbox", answer, &id.to_string()]);
        let arrival = arrivals.recv().await.unwrap();
        let outcome = if name == "wanted" {
            "opened"
        } else {
            "refused"
        };
        assert_eq!(
            (arrival.id, told(&arrival)),
            (id, (DecidedBy::Owner, outcome))
        );
    }
    for outcome in ["waiting", "opened", "waiting", "refused"] {
        assert_eq!(told(&there.recv().await.unwrap()).1, outcome);
    }
    b.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_settings_count_for_what_waits() {
    let homes = Homes::new(&["b"]);
    let mut options = PeerOptions::at(homes.home("b"));
    options.discovery = Discovery::Off;
    options.inbox.policy.default.mode = InboxMode::Ask;
    let peer = Peer::open(options).unwrap();
    let (b, rules) = (peer.handle(), peer.inbox_rules());
    peer.reload_with(move || {
        rules.set(InboxPolicy::default());
        Ok(colis::wire::ReloadBody::default())
    });
    tokio::spawn(peer.run(std::future::pending()));
    let mut arrivals = b.arrivals();
    send(&homes, &b, "f", b"x").await;
    assert_eq!(told(&arrivals.recv().await.unwrap()).1, "waiting");
    b.reload().await.unwrap();
    let arrival = arrivals.recv().await.unwrap();
    assert_eq!(told(&arrival), (DecidedBy::Inbox, "opened"));
    b.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_ends_while_its_owner_accepts_holds_nothing() {
    let homes = Homes::new(&["b"]);
    let b = run(&homes, InboxMode::Ask);
    let mut arrivals = b.arrivals();
    let content = bytes(1, 48 << 20);
    let id = send(&homes, &b, "film", &content).await.manifest.unwrap();
    arrivals.recv().await.unwrap();
    let accepting = tokio::spawn({
        let b = b.clone();
        async move { b.accept(id, None).await }
    });
    let received = homes.home("b").join("received");
    // Some of it is staged.
    while fs::read_dir(&received).unwrap().next().is_none() {
        tokio::task::yield_now().await;
    }
    b.shutdown().await;
    let accepted = accepting.await.unwrap();
    assert!(matches!(accepted, Err(AnswerError::Ended)), "{accepted:?}");
    let b = run(&homes, InboxMode::Ask);
    let files = b.accept(id, None).await.unwrap();
    assert!(fs::read(&files.paths[0]).unwrap() == content);
    b.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_arrival_that_cannot_be_written_down_is_told_to_those_who_listen() {
    let homes = Homes::new(&["b"]);
    fs::create_dir_all(homes.home("b").join("chunks/state/history.jsonl")).unwrap();
    let b = run(&homes, InboxMode::Auto);
    let mut arrivals = b.arrivals();
    for name in ["one", "two"] {
        send(&homes, &b, name, b"x").await;
        assert_eq!(opened(&arrivals.recv().await.unwrap()), name);
    }
    b.shutdown().await;
    assert_eq!(arrivals.recv().await, Err(ArrivalsEnded));
}
