//! Connections that end anywhere, either way: the transfer goes on by itself, and sends little twice.

use std::{
    fs,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use colis::{
    client::ClientOptions,
    store::Store,
    transfer::{self, Silent, Sources},
};
use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    runtime::Runtime,
};

use crate::rand;
use harness::load::Load;
use testkit::{Homes, bytes};

const SIZE: usize = 16 << 20;
/// The longest that a connection lives, in bytes of one direction.
const LIFE: u64 = 2 << 20;
/// Chunks of 64 KiB that are in flight when a connection ends, at most, and what each weighs with its headers.
const IN_FLIGHT: u64 = 4 * (68 << 10);

/// What the proxy counts.
#[derive(Default)]
struct Counts {
    cuts: AtomicUsize,
    to_peer: AtomicU64,
}

/// Sends files through a proxy that cuts, until it has cut so often. Gives how many times.
pub(crate) fn campaign(cuts: usize) -> usize {
    let homes = Homes::new(&["b"]);
    let load = Load::new(&homes);
    let serving = homes.serve("b", &[]);
    let counts = Arc::new(Counts::default());
    let path = homes.path("cut.bin");
    Runtime::new().unwrap().block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(accept(listener, serving.address, counts.clone()));
        let options = ClientOptions {
            retries: 100,
            pause: (Duration::from_millis(1), Duration::from_millis(20)),
            ..ClientOptions::default()
        };
        let stores: [Arc<dyn Store>; 1] =
            [Arc::new(load.patient_client(&address.to_string(), options))];
        let mut number = 0;
        while counts.cuts.load(Ordering::SeqCst) < cuts {
            number += 1;
            let content = bytes(number, SIZE);
            fs::write(&path, &content).unwrap();
            let before = (
                counts.cuts.load(Ordering::SeqCst),
                counts.to_peer.load(Ordering::SeqCst),
            );
            let sources = Sources::walk(std::slice::from_ref(&path)).unwrap();
            let sent = transfer::send(&load.sender, sources, &load.options, &stores, &Silent).await;
            let manifest = sent.unwrap().manifest.unwrap();
            let cuts = (counts.cuts.load(Ordering::SeqCst) - before.0) as u64;
            let sent = counts.to_peer.load(Ordering::SeqCst) - before.1;
            let most = SIZE as u64 * 102 / 100 + (cuts + 1) * IN_FLIGHT;
            assert!(
                sent <= most,
                "{sent} bytes were sent, with {cuts} cuts at most {most} are needed"
            );
            transfer::wait_until_settled(&*stores[0], manifest)
                .await
                .unwrap();
            let received = homes.home("b").join("received/cut.bin");
            assert!(fs::read(&received).unwrap() == content, "file {number}");
            fs::remove_file(received).unwrap();
        }
    });
    counts.cuts.load(Ordering::SeqCst)
}

async fn accept(listener: TcpListener, peer: SocketAddr, counts: Arc<Counts>) {
    while let Ok((client, _)) = listener.accept().await {
        tokio::spawn(pass(client, peer, counts.clone()));
    }
}

/// Passes bytes both ways until one direction has had its share; then both ends see the connection end, one way or another.
async fn pass(client: TcpStream, peer: SocketAddr, counts: Arc<Counts>) {
    let Ok(peer) = TcpStream::connect(peer).await else {
        return;
    };
    if rand(2) == 0 {
        // Both ends get a reset instead of an orderly end.
        for end in [&client, &peer] {
            SockRef::from(end).set_linger(Some(Duration::ZERO)).unwrap();
        }
    }
    let ((mut from_client, mut to_client), (mut from_peer, mut to_peer)) =
        (client.into_split(), peer.into_split());
    let (up, down) = (1 + rand(LIFE), 1 + rand(LIFE));
    let cut = tokio::select! {
        cut = copy(&mut from_client, &mut to_peer, up, Some(&counts.to_peer)) => cut,
        cut = copy(&mut from_peer, &mut to_client, down, None) => cut,
    };
    if cut {
        counts.cuts.fetch_add(1, Ordering::SeqCst);
    }
}

/// Copies at most `limit` bytes. Gives whether there were more.
async fn copy(
    from: &mut tokio::net::tcp::OwnedReadHalf,
    to: &mut tokio::net::tcp::OwnedWriteHalf,
    limit: u64,
    count: Option<&AtomicU64>,
) -> bool {
    let (mut left, mut buffer) = (usize::try_from(limit).unwrap(), vec![0; 64 << 10]);
    while left > 0 {
        let room = left.min(buffer.len());
        match from.read(&mut buffer[..room]).await {
            Ok(read @ 1..) => {
                if let Some(count) = count {
                    count.fetch_add(read as u64, Ordering::SeqCst);
                }
                if to.write_all(&buffer[..read]).await.is_err() {
                    return false;
                }
                left -= read;
            }
            _ => return false,
        }
    }
    true
}
