//! A relay between client and peer that counts what passes: the bytes of TLS, in both directions.

use std::{
    io::{self, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

/// Listens until the test ends.
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    passed: Arc<AtomicU64>,
}

impl Relay {
    /// A relay to `peer`.
    pub(crate) fn to(peer: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let passed = Arc::new(AtomicU64::new(0));
        let counter = passed.clone();
        thread::spawn(move || {
            for client in listener.incoming() {
                let (client, peer) = (client.unwrap(), TcpStream::connect(peer).unwrap());
                carry(
                    client.try_clone().unwrap(),
                    peer.try_clone().unwrap(),
                    &counter,
                );
                carry(peer, client, &counter);
            }
        });
        Self { address, passed }
    }

    /// The bytes so far.
    pub(crate) fn passed(&self) -> u64 {
        self.passed.load(Ordering::SeqCst)
    }
}

/// Carries one direction of a connection, until either end has enough of it.
fn carry(mut from: TcpStream, mut to: TcpStream, counter: &Arc<AtomicU64>) {
    let counter = counter.clone();
    thread::spawn(move || {
        let mut buffer = vec![0; 64 << 10];
        let mut step = || -> io::Result<bool> {
            let length = from.read(&mut buffer)?;
            // Counted before it is passed on: when the client has its answer, all of it is counted.
            counter.fetch_add(length as u64, Ordering::SeqCst);
            to.write_all(&buffer[..length])?;
            Ok(length > 0)
        };
        while let Ok(true) = step() {}
        let _ = to.shutdown(Shutdown::Write);
    });
}
