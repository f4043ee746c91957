//! The port that this peer serves on: free, ours, or somebody else's.

use std::{fs, net::SocketAddr, path::Path, time::Duration};

use tokio::time::timeout;

use super::{Finding, Subject};
use crate::{
    address::DEFAULT_LISTEN,
    client::ClientOptions,
    manifest::Signer as _,
    server::{self, BindError},
    session::{Error, Kind, Session},
    store::{Holder, LocalStore},
    tls::Seen,
    wire::HealthStatus,
};

const STEP: &str = "port";
/// Our own peer is near.
const PATIENCE: Duration = Duration::from_secs(2);

/// Asks our own peer if it serves; else looks whether it could.
pub(super) async fn port(
    subject: &Subject<'_>,
    listen: Option<SocketAddr>,
    us: Option<&Session>,
) -> Finding {
    if let Some(holder) = LocalStore::holder(&subject.home.chunks())
        && let Some(address) = &holder.serving
    {
        let Some(us) = us else {
            let why = format!(
                "our own peer serves on {address}; without our certificates it cannot be asked"
            );
            return Finding::skip(STEP, why);
        };
        return served(us, &holder, address).await;
    }
    let wanted = listen.or(subject.config.listen).unwrap_or(DEFAULT_LISTEN);
    // Listens for an instant.
    match server::bind(wanted) {
        Ok(_) => Finding::ok(
            STEP,
            format!("{wanted} is free; this peer does not serve now"),
        ),
        Err(BindError::AddressInUse { address }) => {
            let who = owner(address.port()).unwrap_or("another process".into());
            Finding::fail(STEP, Kind::Network, format!("{address} is in use by {who}"))
                .hint("end that program, or choose another: listen = \":9443\" in colis.toml")
        }
        Err(error) => Finding::fail(STEP, Kind::Network, error)
            .hint("`listen` must be an address of this machine, with a port above 1023: [::]:8443"),
    }
}

async fn served(us: &Session, holder: &Holder, address: &str) -> Finding {
    let process = holder.process.map_or("?".to_owned(), |id| id.to_string());
    match timeout(PATIENCE, ask(us, address)).await {
        Ok(Ok(HealthStatus::Ok)) => Finding::ok(
            STEP,
            format!("our own peer answers on {address} (process {process})"),
        ),
        Ok(Ok(HealthStatus::ReadOnly)) => {
            let what =
                format!("our own peer on {address} (process {process}) cannot write any more");
            Finding::fail(STEP, Kind::Storage, what).hint(
                "was its home moved? Else look at the disk (dmesg); then restart `colis serve`",
            )
        }
        // It is ours: its certificate was judged above.
        Ok(Err(error)) if error.kind() == Kind::Trust => Finding::skip(
            STEP,
            format!(
                "process {process} serves on {address}, with our certificate, which does not count"
            ),
        ),
        Ok(Err(error)) => silent(&process, address, &error.to_string()),
        Err(_) => silent(&process, address, "no answer in time"),
    }
}

async fn ask(us: &Session, address: &str) -> Result<HealthStatus, Error> {
    let options = ClientOptions {
        retries: 0,
        ..ClientOptions::default()
    };
    let id = us.identity().peer_id();
    let client = us.client(&address.parse()?, Some(id), &Seen::default(), options)?;
    Ok(client.health().await?.status)
}

fn silent(process: &str, address: &str, why: &str) -> Finding {
    let what = format!("process {process} has the store and should serve on {address}: {why}");
    Finding::fail(STEP, Kind::Network, what)
        .hint(format!("restart it: kill {process}, then colis serve"))
}

/// The program that listens on a port of this machine, if we may see it.
fn owner(port: u16) -> Option<String> {
    let sockets: Vec<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(|table| listeners(&table, port))
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    let processes = fs::read_dir("/proc").ok()?.flatten();
    processes.map(|entry| entry.path()).find_map(|process| {
        let id: u32 = process.file_name()?.to_str()?.parse().ok()?;
        if !has_one_of(&process, &sockets) {
            return None;
        }
        let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
        Some(format!("{} (process {id})", name.trim_end()))
    })
}

/// The inodes of the sockets that listen on `port`. A line of the table is `sl local remote st ... inode ...`.
fn listeners(table: &str, port: u16) -> Vec<String> {
    const LISTENING: &str = "0A";
    let on_port = |line: &str| {
        let fields: Vec<_> = line.split_ascii_whitespace().collect();
        let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
        let (_, local) = local.rsplit_once(':')?;
        let same = u16::from_str_radix(local, 16) == Ok(port) && *state == LISTENING;
        same.then(|| (*inode).to_owned())
    };
    table.lines().filter_map(on_port).collect()
}

fn has_one_of(process: &Path, sockets: &[String]) -> bool {
    let Ok(open) = fs::read_dir(process.join("fd")) else {
        return false;
    };
    let mut targets = open
        .flatten()
        .filter_map(|file| fs::read_link(file.path()).ok());
    targets.any(|target| {
        sockets
            .iter()
            .any(|socket| target.as_os_str() == socket.as_str())
    })
}
