//! A peer inside a program of one's own: what it gives, and that its end is an end.

use std::{
    fs,
    path::Path,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use colis::{
    peer::{ASK_EVERY, Peer, PeerError, PeerOptions},
    session::Session,
};
use testkit::{Homes, bytes};
use tokio::{sync::oneshot, task::JoinHandle};

fn open(home: &Path) -> Result<Peer, PeerError> {
    Peer::open(PeerOptions {
        certs: home.join("certs"),
        chunks: home.join("chunks"),
        received: home.join("received"),
        listen: ([127, 0, 0, 1], 0).into(),
        inbox: Default::default(),
        store: Default::default(),
        default_role: Default::default(),
        relay: Default::default(),
        ask_every: ASK_EVERY,
        discovery: colis::discover::Discovery::Off,
    })
}

/// A peer in this process to which a transfer is on its way.
struct Busy {
    homes: Homes,
    running: JoinHandle<Result<(), PeerError>>,
    stop: oneshot::Sender<()>,
    sending: Child,
}

impl Busy {
    async fn start() -> Self {
        let homes = Homes::new(&["b"]);
        let peer = open(&homes.home("b")).unwrap();
        let to = format!("localhost:{}", peer.address().port());
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(peer.run(async { stopped.await.unwrap_or_default() }));
        fs::write(homes.path("film"), bytes(1, 16 << 20)).unwrap();
        let args = ["send", "film", "--to", &to, "--limit", "1MiB"];
        let mut sending = homes.command("a", &args);
        let sending = sending.stderr(Stdio::null()).spawn().unwrap();
        let session = Session::open(homes.home("b")).unwrap();
        let owner = session.serving().unwrap().unwrap();
        // Some of its content is there, so that it is being opened.
        while owner
            .arriving()
            .await
            .unwrap()
            .iter()
            .all(|one| one.bytes < 2 << 20)
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Self {
            homes,
            running,
            stop,
            sending,
        }
    }

    /// The same home can be opened again, with no more of a pause than a lock is waited for.
    fn is_free(mut self) {
        let begun = Instant::now();
        let again = open(&self.homes.home("b"));
        let _ = self.sending.kill();
        let _ = self.sending.wait();
        assert!(
            again.is_ok(),
            "{:?} after {:?}",
            again.err(),
            begun.elapsed()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_has_ended_in_the_middle_of_a_transfer_holds_nothing() {
    let mut busy = Busy::start().await;
    let (stop, _) = oneshot::channel();
    std::mem::replace(&mut busy.stop, stop).send(()).unwrap();
    (&mut busy.running).await.unwrap().unwrap();
    busy.is_free();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_is_dropped_in_the_middle_of_a_transfer_holds_nothing() {
    let mut busy = Busy::start().await;
    busy.running.abort();
    assert!((&mut busy.running).await.unwrap_err().is_cancelled());
    busy.is_free();
}
