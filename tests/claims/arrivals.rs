//! Arrivals for the program that runs a peer: none is missed, and it answers those that wait.

use std::{
    fs,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use colis::{
    crypto::password::Password,
    peer::{
        AnswerError, Arrival, ArrivalSeq, ArrivalsEnded, DecidedBy, InboxMode, InboxPolicy,
        Outcome, Peer, PeerOptions,
    },
    session::{SendRequest, Sent},
    store::{Store as _, TransferState, WaitReason},
    testing::Network,
    transfer::{Sources, TransferError},
};
use testkit::bytes;

const ANNA: usize = 0;
const BEN: usize = 1;

/// Two peers, of which ben's does this with what arrives.
async fn network(mode: InboxMode) -> Network {
    let open = move |_, mut options: PeerOptions| {
        options.inbox.policy.default.mode = mode;
        Peer::open(options)
    };
    Network::open(2, open).await.unwrap()
}

/// Sends from anna to ben what is `called` so and has this content.
async fn send(network: &Network, called: &str, content: &[u8]) -> Sent {
    let to_ben = SendRequest::to([network.name(BEN)]);
    send_as(network, called, content, to_ben).await
}

async fn send_as(network: &Network, called: &str, content: &[u8], request: SendRequest) -> Sent {
    let path = network.path(called);
    fs::write(&path, content).unwrap();
    let sources = Sources::walk(&[path]).unwrap();
    let anna = network.session(ANNA).unwrap();
    anna.send(sources, &request).await.unwrap()
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
    let mut network = network(InboxMode::Auto).await;
    let b = network.peer(BEN).clone();
    let mut live = b.arrivals();
    let sent = send(&network, "one", b"1").await;
    let first = live.recv().await.unwrap();
    assert_eq!(opened(&first), "one");
    assert_eq!(
        (first.transfer, Some(first.id), first.size),
        (sent.transfer, sent.manifest, 1)
    );
    assert_eq!(first.sender_name.as_deref(), Some(network.name(ANNA)));
    send(&network, "two", b"2").await;
    let second = live.recv().await.unwrap();
    assert!(second.seq > first.seq && second.at >= first.at);
    network.stop(BEN).await.unwrap();
    assert_eq!(live.recv().await, Err(ArrivalsEnded));

    network.start(BEN).unwrap();
    let b = network.peer(BEN).clone();
    let mut again = b.arrivals_after(first.seq);
    assert_eq!(again.recv().await.unwrap(), second, "all of it is kept");
    assert!(again.try_recv().await.is_none());
    send(&network, "three", b"3").await;
    assert_eq!(opened(&again.recv().await.unwrap()), "three");

    let mut all = b.arrivals_after(ArrivalSeq::START);
    network.stop(BEN).await.unwrap();
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
    let mut network = network(InboxMode::Auto).await;
    let b = network.peer(BEN).clone();
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
            &network,
            &format!("f{number}"),
            number.to_string().as_bytes(),
        )
        .await;
    }
    while count.load(Ordering::Relaxed) < MANY {
        tokio::task::yield_now().await;
    }
    network.stop(BEN).await.unwrap();
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
    let network = network(InboxMode::Ask).await;
    let b = network.peer(BEN).clone();
    let mut arrivals = b.arrivals();
    let wanted = send(&network, "wanted", b"yes").await.manifest.unwrap();
    arrivals.recv().await.unwrap();
    let unwanted = send(&network, "unwanted", b"no").await.manifest.unwrap();
    let waits = arrivals.recv().await.unwrap();
    assert_eq!(told(&waits), (DecidedBy::Inbox, "waiting"));
    let mut waiting = b.waiting().await.unwrap();
    waiting.sort_by_key(|one| one.info.id != wanted);
    assert_eq!(
        waiting.iter().map(|one| one.info.id).collect::<Vec<_>>(),
        [wanted, unwanted]
    );
    assert_eq!(waiting[0].sender_name.as_deref(), Some(network.name(ANNA)));
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
    let anna = network.session(ANNA).unwrap();
    let peer = anna.connect(network.name(BEN)).await.unwrap().client;
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
    network.shutdown().await.unwrap();
    assert!(matches!(b.waiting().await, Err(AnswerError::Ended)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_a_password_opens_is_accepted_with_it() {
    let network = network(InboxMode::Auto).await;
    let b = network.peer(BEN).clone();
    let mut arrivals = b.arrivals();
    let mut request = SendRequest::default();
    request.via = vec![network.name(BEN).to_owned()];
    request.sealing.password = Some(Password::new("several easy words"));
    let sent = send_as(&network, "locked", b"secret", request);
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
    network.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_answered_by_another_process_arrives_too() {
    let network = network(InboxMode::Ask).await;
    let b = network.peer(BEN).clone();
    let elsewhere = network.session(BEN).unwrap();
    let (mut arrivals, mut there) = (b.arrivals(), elsewhere.arrivals(None));
    for name in ["wanted", "unwanted"] {
        let id = send(&network, name, b"x").await.manifest.unwrap();
        assert_eq!(told(&arrivals.recv().await.unwrap()).1, "waiting");
        let answer = if name == "wanted" { "accept" } else { "refuse" };
        let mut colis = Command::new(testkit::program());
        colis.arg("--home").arg(network.home(BEN));
        let said = colis.args(["inbox", answer, &id.to_string()]).output();
        assert!(said.unwrap().status.success());
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
    network.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_settings_count_for_what_waits() {
    let open = |_, mut options: PeerOptions| {
        options.inbox.policy.default.mode = InboxMode::Ask;
        let peer = Peer::open(options)?;
        let rules = peer.inbox_rules();
        peer.reload_with(move || {
            rules.set(InboxPolicy::default());
            Ok(colis::wire::ReloadBody::default())
        });
        Ok(peer)
    };
    let network = Network::open(2, open).await.unwrap();
    let b = network.peer(BEN).clone();
    let mut arrivals = b.arrivals();
    send(&network, "f", b"x").await;
    assert_eq!(told(&arrivals.recv().await.unwrap()).1, "waiting");
    b.reload().await.unwrap();
    let arrival = arrivals.recv().await.unwrap();
    assert_eq!(told(&arrival), (DecidedBy::Inbox, "opened"));
    network.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_ends_while_its_owner_accepts_holds_nothing() {
    let mut network = network(InboxMode::Ask).await;
    let b = network.peer(BEN).clone();
    let mut arrivals = b.arrivals();
    let content = bytes(1, 48 << 20);
    let id = send(&network, "film", &content).await.manifest.unwrap();
    arrivals.recv().await.unwrap();
    let accepting = tokio::spawn({
        let b = b.clone();
        async move { b.accept(id, None).await }
    });
    let received = network.home(BEN).join("received");
    // Some of it is staged.
    while fs::read_dir(&received).unwrap().next().is_none() {
        tokio::task::yield_now().await;
    }
    network.stop(BEN).await.unwrap();
    let accepted = accepting.await.unwrap();
    assert!(matches!(accepted, Err(AnswerError::Ended)), "{accepted:?}");
    network.start(BEN).unwrap();
    let files = network.peer(BEN).accept(id, None).await.unwrap();
    assert!(fs::read(&files.paths[0]).unwrap() == content);
    network.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_arrival_that_cannot_be_written_down_is_told_to_those_who_listen() {
    let open = |_, options: PeerOptions| {
        fs::create_dir_all(options.chunks.join("state/history.jsonl"))?;
        Peer::open(options)
    };
    let network = Network::open(2, open).await.unwrap();
    let b = network.peer(BEN).clone();
    let mut arrivals = b.arrivals();
    for name in ["one", "two"] {
        send(&network, name, b"x").await;
        assert_eq!(opened(&arrivals.recv().await.unwrap()), name);
    }
    network.shutdown().await.unwrap();
    assert_eq!(arrivals.recv().await, Err(ArrivalsEnded));
}
