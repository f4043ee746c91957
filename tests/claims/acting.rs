//! A program acts as a member: what the commands do, it does by a `Session`, without a terminal and without words.

use std::{
    error::Error as StdError,
    fs,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use colis::{
    config::Config,
    crypto::password::Password,
    session::{
        self, CheckRequest, CustodyRequest, Error, Event, Extent, FolderError, GrantRequest, Home,
        Kind, Mistake, PasswordSource, ReceiveInto, ReceiveRequest, SealRequest, Sealing,
        SendRequest, Session, Silent,
    },
    store::{MemoryStore, Store},
    transfer::Sources,
};
use futures::future::BoxFuture;
use testkit::Homes;

const SECRET: &str = "several easy words";

/// Gives the password, and counts how often it was asked for.
#[derive(Default)]
struct Asked(AtomicUsize);

impl PasswordSource for Asked {
    fn ask(&self) -> BoxFuture<'_, Result<Password, Box<dyn StdError + Send + Sync>>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Box::pin(async { Ok(Password::new(SECRET)) })
    }
}

/// Has no password to give.
struct Speechless;

impl PasswordSource for Speechless {
    fn ask(&self) -> BoxFuture<'_, Result<Password, Box<dyn StdError + Send + Sync>>> {
        Box::pin(async { Err("nobody is here".into()) })
    }
}

fn session(homes: &Homes, home: &str) -> Session {
    Session::open(homes.home(home)).unwrap()
}

fn sources(homes: &Homes, name: &str) -> Sources {
    fs::write(homes.path(name), name).unwrap();
    Sources::walk(&[homes.path(name)]).unwrap()
}

#[tokio::test]
async fn a_password_is_asked_for_only_when_what_was_named_is_locked() {
    let homes = Homes::new(&["b"]);
    let a = session(&homes, "a");
    let mut locked = Sealing::default();
    locked.password = Some(Password::new(SECRET));
    let open = Sealing::default();
    let open = a.share(sources(&homes, "open"), &[], &open).await.unwrap();
    let mut request = SealRequest::into(homes.path("sealed"), Vec::<String>::new());
    request.sealing = locked;
    a.seal(sources(&homes, "locked"), &request).await.unwrap();

    let asked = Arc::new(Asked::default());
    let mut request = ReceiveRequest::named([open.manifest.unwrap().to_string()]);
    request.ask = Some(asked.clone());
    let outcome = a.receive(request).await.unwrap();
    assert!(outcome.complete && outcome.received[0].bytes == 4);
    assert_eq!(asked.0.load(Ordering::Relaxed), 0);

    let b = session(&homes, "b");
    let open_by = |ask: Arc<dyn PasswordSource>| {
        let mut request = ReceiveRequest::default();
        request.ask = Some(ask);
        request.into = ReceiveInto::Folder(homes.path("out"));
        request
    };
    let sealed = homes.path("sealed");
    let failed = b.open_folder(&sealed, open_by(Arc::new(Speechless))).await;
    let failed = failed.unwrap_err();
    assert!(matches!(&failed, Error::NoPassword(why) if why.to_string() == "nobody is here"));
    let outcome = b.open_folder(&sealed, open_by(asked.clone())).await;
    let received = &outcome.unwrap().received[0];
    assert_eq!(asked.0.load(Ordering::Relaxed), 1);
    assert_eq!(fs::read_to_string(&received.paths[0]).unwrap(), "locked");
}

#[tokio::test]
async fn content_goes_to_a_writer_and_what_happens_is_told() {
    let homes = Homes::new(&["b"]);
    let told = Arc::new(Mutex::new(Vec::new()));
    let reporter = {
        let told = told.clone();
        move |event: &Event| told.lock().unwrap().push(event.clone())
    };
    let a = session(&homes, "a").reporting_to(Arc::new(reporter));
    let sealing = Sealing::default();
    for name in ["one", "two"] {
        a.share(sources(&homes, name), &[], &sealing).await.unwrap();
    }
    let out = homes.path("written");
    let mut request = ReceiveRequest::named(["two"]);
    request.into = ReceiveInto::writer(fs::File::create(&out).unwrap());
    a.receive(request).await.unwrap();
    assert_eq!(fs::read_to_string(&out).unwrap(), "two");

    let mut both = ReceiveRequest::named(["one", "two"]);
    both.into = ReceiveInto::writer(Vec::new());
    assert_eq!(a.receive(both).await.unwrap_err().kind(), Kind::Usage);

    let mut all = ReceiveRequest::default();
    (all.all, all.mine) = (true, true);
    let outcome = a.receive(all).await.unwrap();
    assert!(outcome.complete && outcome.received.len() == 2);
    let told = told.lock().unwrap();
    let told = told.iter().filter_map(|event| match event {
        Event::Received(received) => Some((**received).clone()),
        _ => None,
    });
    assert_eq!(told.collect::<Vec<_>>(), outcome.received);
}

#[tokio::test]
async fn what_waits_is_looked_at_refused_and_accepted_all_the_same() {
    let homes = Homes::new(&["b"]);
    let to = {
        let b = homes.serve("b", &["--inbox", "ask"]);
        let (a, request) = (session(&homes, "a"), SendRequest::to([b.to()]));
        let sent = a.send(sources(&homes, "letter"), &request).await.unwrap();
        sent.manifest.unwrap().to_string()
    };
    let b = session(&homes, "b");
    let inbox = b.inbox().unwrap();
    let waiting = inbox.waiting().await.unwrap();
    let looked = inbox.look(waiting[0].clone(), Extent::Few).await.unwrap();
    assert_eq!(looked.entries[0].path(), "letter");
    assert!(looked.from.verified && !looked.locked && !looked.more_entries);

    let refused = inbox.refuse(std::slice::from_ref(&to)).await.unwrap();
    assert_eq!(refused[0].info.id.to_string(), to);
    assert!(inbox.waiting().await.unwrap().is_empty());
    let mut all = ReceiveRequest::default();
    (all.all, all.mine) = (true, true);
    let nothing = inbox.accept(all).await.unwrap();
    assert!(nothing.complete && nothing.received.is_empty());
    let accepted = inbox.accept(ReceiveRequest::named([to])).await.unwrap();
    assert_eq!(accepted.received[0].sender, "a");
    let unknown = inbox.accept(ReceiveRequest::named(["abcdef"])).await;
    assert!(matches!(unknown, Err(Error::NothingWaits { text }) if text == "abcdef"));
}

#[tokio::test]
async fn it_grants_compares_checks_and_frees() {
    let homes = Homes::new(&["b", "c"]);
    let (b, c) = (homes.serve("b", &[]), homes.serve("c", &[]));
    let a = session(&homes, "a");
    let mut request = SendRequest::to([c.to()]);
    (request.via, request.keep) = (vec![b.to()], true);
    let sent = a.send(sources(&homes, "kept"), &request).await.unwrap();
    let mut grant = GrantRequest::of("kept", ["b"]);
    grant.at = Some("b".to_owned());
    let granted = a.grant(&grant).await.unwrap();
    assert_eq!(
        (granted.added, Some(granted.replaces)),
        (1, sent.manifest),
        "{granted:?}"
    );
    assert_eq!(a.grant(&grant).await.unwrap().added, 0);
    let none = a.grant(&GrantRequest::of("none", ["b"])).await;
    assert!(matches!(none, Err(Error::NothingOfOurs { at: None, text }) if text == "none"));

    let held = CustodyRequest::of("b", sent.transfer.to_string());
    let held = a.check_custody(&held).await.unwrap();
    assert_eq!((held.bad(), held.peer.as_str()), (0, "b"), "{held:?}");
    let checked = a.check(CheckRequest::default()).await.unwrap();
    assert!(checked.exists && checked.report.problems.is_empty());
    assert_eq!(a.collect_garbage(false).await.unwrap().opened, 0);
}

#[tokio::test]
async fn a_folder_has_one_transfer_and_says_what_is_wrong_with_it() {
    let homes = Homes::new(&["b"]);
    let a = session(&homes, "a");
    let mut sealing = Sealing::default();
    sealing.password = Some(Password::new(SECRET));
    let folder = homes.path("sealed");
    let mut request = SealRequest::into(&folder, Vec::<String>::new());
    assert_eq!(
        a.seal(sources(&homes, "f"), &request)
            .await
            .unwrap_err()
            .kind(),
        Kind::Usage
    );
    request.sealing = sealing;
    let sealed = a.seal(sources(&homes, "f"), &request).await.unwrap();
    assert!(sealed.complete && sealed.chunks == 1);
    let other = a.seal(sources(&homes, "other"), &request).await;
    assert!(
        matches!(other, Err(Error::Folder(FolderError::Taken(path))) if path == folder),
        "another transfer is not sealed over it"
    );
    let chunks = fs::read_dir(folder.join("chunks")).unwrap();
    for chunk in chunks {
        fs::remove_file(chunk.unwrap().path()).unwrap();
    }
    let opened = a.open_folder(&folder, ReceiveRequest::default()).await;
    let opened = opened.unwrap_err();
    assert!(
        matches!(opened, Error::Folder(FolderError::Missing { .. })),
        "{opened:?}"
    );
    let nowhere = a
        .open_folder(&homes.path("nowhere"), ReceiveRequest::default())
        .await;
    assert_eq!(nowhere.unwrap_err().kind(), Kind::NotFound);
}

#[tokio::test]
async fn a_peer_that_never_served_keeps_something_for_itself_with_another() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &[]);
    let a = session(&homes, "a");
    let mut request = SendRequest::to(["a"]);
    request.via = vec![b.to()];
    let sent = a.send(sources(&homes, "diary"), &request).await.unwrap();
    assert_eq!((sent.to, sent.complete), (vec!["a".to_owned()], true));

    let mut request = ReceiveRequest::named(["diary"]);
    request.from = vec!["b".to_owned()];
    let outcome = a.receive(request).await.unwrap();
    let back = fs::read_to_string(&outcome.received[0].paths[0]).unwrap();
    assert_eq!(back, "diary");
}

#[tokio::test]
async fn any_store_carries_a_transfer_between_members() {
    let homes = Homes::new(&["b"]);
    let (a, b) = (session(&homes, "a"), session(&homes, "b"));
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let sealing = Sealing::default();
    let share = |to: &str| {
        let (store, to) = (store.clone(), [to.to_owned()]);
        let (a, sealing, sources) = (&a, &sealing, sources(&homes, "letter"));
        async move { a.share_into(store, sources, &to, sealing).await }
    };
    let unknown = share("nobody").await.unwrap_err();
    assert!(matches!(unknown, Error::UnknownPeer { .. }), "{unknown}");
    assert!(share("b").await.unwrap().complete);

    let nothing = b.receive_from(store.clone(), ReceiveRequest::default());
    assert_eq!(nothing.await.unwrap_err().kind(), Kind::Usage);
    let letter = ReceiveRequest::named(["letter"]);
    let outcome = b.receive_from(store.clone(), letter).await.unwrap();
    let came = fs::read_to_string(&outcome.received[0].paths[0]).unwrap();
    assert_eq!(came, "letter");
}

#[tokio::test]
async fn the_settings_limit_what_a_program_moves_and_a_message_has_a_length() {
    let homes = Homes::new(&[]);
    let home = Home::resolve(Some(&homes.home("a"))).unwrap();
    let config = Config {
        limit: Some("0".parse().unwrap()),
        ..Config::default()
    };
    let a = Session::with(home, config, Arc::new(Silent)).unwrap();
    let request = SendRequest::to(["nobody"]);
    let sent = a.send(session::message("hello").unwrap(), &request).await;
    assert!(matches!(sent, Err(Error::Usage(Mistake::MovesNothing))));
    let received = a.receive(ReceiveRequest::named(["hello"])).await;
    assert!(matches!(received, Err(Error::Usage(Mistake::MovesNothing))));
    let empty = session::message("").err();
    assert!(matches!(empty, Some(Mistake::MessageLength { .. })));
}
