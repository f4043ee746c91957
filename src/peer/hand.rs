//! Keys under a passphrase, handed to the commands of their owner by the peer that serves: they need not ask for it again.
//!
//! What is handed over opens the keys of the peer, and never that of the circle. It goes through a socket in `certs/` that only its
//! owner can open, and each side looks whose process the other one is.

use std::{
    convert::Infallible,
    fs, io,
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::{fs::PermissionsExt as _, net::UnixListener},
    },
    path::PathBuf,
    time::Duration,
};

use rustix::process::geteuid;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    time::timeout,
};
use zeroize::Zeroizing;

use crate::{
    private,
    tls::{self, CertsDir},
};

/// How long one side waits for the other.
const PATIENCE: Duration = Duration::from_secs(2);
/// More than is ever handed over.
const MOST: usize = 256;

/// Where keys are asked for, while it lives.
pub(super) struct Hand {
    dir: CertsDir,
    listener: UnixListener,
}

impl Hand {
    /// `None` where the keys are under no passphrase. Where no socket can be made, commands ask for it.
    pub(super) fn open(dir: &CertsDir) -> Option<Self> {
        tls::to_hand(dir)?;
        let opened = bind(dir).inspect_err(
            |error| tracing::warn!(%error, "commands ask for the passphrase while this peer serves"),
        );
        let (listener, dir) = (opened.ok()?, dir.clone());
        Some(Self { dir, listener })
    }

    /// Hands keys over until it is dropped.
    pub(super) async fn run(self) -> io::Result<Infallible> {
        let listener = tokio::net::UnixListener::from_std(self.listener.try_clone()?)?;
        loop {
            match listener.accept().await {
                Ok((stream, _)) => drop(tokio::spawn(give(stream, self.dir.clone()))),
                // Too many open files, for example.
                Err(_) => tokio::time::sleep(PATIENCE).await,
            }
        }
    }
}

impl Drop for Hand {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.dir.hand());
    }
}

fn bind(dir: &CertsDir) -> io::Result<UnixListener> {
    // That of a peer that was killed. Another one that serves would have the store.
    let _ = fs::remove_file(dir.hand());
    let (path, _folder) = short(dir)?;
    let listener = UnixListener::bind(path)?;
    listener.set_nonblocking(true)?;
    fs::set_permissions(dir.hand(), fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// The path of the socket by way of the open folder: the name of a socket has about 100 bytes at most.
fn short(dir: &CertsDir) -> io::Result<(PathBuf, OwnedFd)> {
    let folder = OwnedFd::from(private::open_folder(dir.path())?);
    let through = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd()));
    let path = match through.exists() {
        true => through.join(dir.hand().file_name().unwrap_or_default()),
        false => dir.hand(),
    };
    Ok((path, folder))
}

fn is_ours(stream: &UnixStream) -> bool {
    let other = stream.peer_cred();
    other.is_ok_and(|other| other.uid() == geteuid().as_raw())
}

async fn give(mut stream: UnixStream, dir: CertsDir) {
    let handed = is_ours(&stream).then(|| tls::to_hand(&dir)).flatten();
    if let Some(handed) = handed {
        let _ = timeout(PATIENCE, stream.write_all(&handed)).await;
    }
}

/// Takes what opens the keys of the peer of `dir` from the peer that serves it. Returns whether they are open in this process now.
pub async fn take_keys(dir: &CertsDir) -> bool {
    let taking = async {
        let (path, _folder) = short(dir)?;
        let mut stream = UnixStream::connect(path).await?;
        let mut handed = Zeroizing::new([0; MOST]);
        let mut length = 0;
        while is_ours(&stream) && length < MOST {
            match stream.read(&mut handed[length..]).await? {
                0 => break,
                read => length += read,
            }
        }
        Ok::<_, io::Error>(tls::take_handed(dir, &handed[..length]))
    };
    matches!(timeout(PATIENCE, taking).await, Ok(Ok(true)))
}
