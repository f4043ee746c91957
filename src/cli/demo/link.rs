//! A link to a peer that is cut after so many bytes: a real TCP connection between two others.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Passes bytes on until enough have gone up; then every connection is closed, and new ones too.
pub(super) struct CutLink {
    address: SocketAddr,
    state: Arc<State>,
    _cut_on_drop: DropGuard,
}

struct State {
    target: SocketAddr,
    limit: u64,
    passed: AtomicU64,
    cut: CancellationToken,
}

impl CutLink {
    pub(super) async fn to(target: SocketAddr, limit: u64) -> io::Result<Self> {
        let listener = TcpListener::bind((target.ip(), 0)).await?;
        let address = listener.local_addr()?;
        let cut = CancellationToken::new();
        let state = Arc::new(State {
            target,
            limit,
            passed: AtomicU64::new(0),
            cut: cut.clone(),
        });
        tokio::spawn(accept(listener, state.clone()));
        Ok(Self {
            address,
            state,
            _cut_on_drop: cut.drop_guard(),
        })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Bytes that have gone up.
    pub(super) fn passed(&self) -> u64 {
        self.state.passed.load(Ordering::Relaxed)
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    loop {
        tokio::select! {
            // The listener goes with this task: later connections are refused.
            () = state.cut.cancelled() => return,
            accepted = listener.accept() => match accepted {
                Ok((near, _)) => drop(tokio::spawn(pass(near, state.clone()))),
                Err(_) => return,
            }
        }
    }
}

async fn pass(near: TcpStream, state: Arc<State>) -> io::Result<()> {
    let far = TcpStream::connect(state.target).await?;
    let (mut from_near, mut to_near) = near.into_split();
    let (mut from_far, mut to_far) = far.into_split();
    let up = async {
        let mut buffer = vec![0; 64 << 10];
        loop {
            let count = from_near.read(&mut buffer).await?;
            if count == 0 {
                return Ok::<_, io::Error>(());
            }
            to_far.write_all(&buffer[..count]).await?;
            if state.passed.fetch_add(count as u64, Ordering::Relaxed) + count as u64 >= state.limit
            {
                state.cut.cancel();
            }
        }
    };
    tokio::select! {
        () = state.cut.cancelled() => Ok(()),
        ended = up => ended,
        ended = tokio::io::copy(&mut from_far, &mut to_near) => ended.map(drop),
    }
}
