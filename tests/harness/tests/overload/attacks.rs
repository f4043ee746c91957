//! What three members and a stranger do to a peer's memory, all at once, from one core.

use std::{
    fs, io,
    net::SocketAddr,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use colis::{
    id::{ChunkId, TransferId},
    manifest::{Offer, Payload as _},
    tls::{CertsDir, Identity},
    wire::{MAX_MANIFEST_BODY, media},
};
use data_encoding::BASE64;
use reqwest::{Client, header::CONTENT_TYPE};
use rustix::thread::{CpuSet, sched_setaffinity};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    runtime::{Builder, Runtime},
    time::sleep,
};

use crate::{
    site::{Member, Site, connect_from, source},
    storm::{large, named},
};
use testkit::{bytes, sealed::Draft};

const MEMBERS: usize = 3;
/// Connections of each member that read next to nothing, of each kind.
const SLOW: usize = 6;
/// Connections of the stranger.
const STRANGE: usize = 16;
/// Files of the folder that waits for a yes.
const FILES: usize = 20_000;
/// Chunks that a member puts again and again.
const BODIES: u64 = 8;

/// What a peer is made to hold.
#[derive(Clone, Copy, Debug)]
enum Attack {
    UnreadChunks,
    UnreadLists,
    UnreadEvents,
    Bodies,
    Envelopes,
    Manifests,
    Tables,
    Handshakes,
}

const ALL: [Attack; 8] = [
    Attack::UnreadChunks,
    Attack::UnreadLists,
    Attack::UnreadEvents,
    Attack::Bodies,
    Attack::Envelopes,
    Attack::Manifests,
    Attack::Tables,
    Attack::Handshakes,
];

/// It goes on until it is stopped.
pub(crate) struct Storm {
    runtime: Runtime,
    felt: Arc<Felt>,
}

/// How often each attack went so far that it cost the peer something.
#[derive(Default)]
struct Felt([AtomicUsize; ALL.len()]);

impl Felt {
    fn count(&self, attack: Attack) {
        self.0[attack as usize].fetch_add(1, Ordering::Relaxed);
    }
}

/// One hostile member, as each of its attacks has it.
#[derive(Clone)]
struct Attacker {
    member: Member,
    http: Client,
    from: usize,
    peer: SocketAddr,
    felt: Arc<Felt>,
}

impl Storm {
    /// Lets members of this turn begin.
    pub(crate) fn start(site: &Site, turn: usize) -> Self {
        let (runtime, felt) = (on_one_core(), Arc::new(Felt::default()));
        for number in 0..MEMBERS {
            let name = format!("storm{turn}-{number}");
            let member = site.member(&name);
            let from = turn * MEMBERS + number;
            let attacker = Attacker {
                http: site.http(&member, source(from)),
                member,
                from,
                peer: site.serving.address,
                felt: felt.clone(),
            };
            if number == 0 {
                // Its other attacks would take the room that a table needs.
                runtime.spawn(attacker.send_tables(folder_sender(site, &name)));
            } else {
                let certs = CertsDir::new(site.homes.home(&name).join("certs"));
                attacker.all(&runtime, Identity::load(&certs).unwrap());
            }
        }
        for number in 0..STRANGE {
            runtime.spawn(strange(site.serving.address, number, felt.clone()));
        }
        Self { runtime, felt }
    }

    pub(crate) fn stop(self) {
        self.runtime.shutdown_background();
        let felt = ALL.map(|attack| (attack, self.felt.0[attack as usize].load(Ordering::Relaxed)));
        eprintln!("{felt:?}");
        assert!(felt.iter().all(|(_, times)| *times > 0), "{felt:?}");
    }
}

impl Attacker {
    fn all(&self, runtime: &Runtime, identity: Identity) {
        let chunk = format!("/v1/chunks/{}", ChunkId::of(&large()));
        for _ in 0..SLOW {
            let unread = self.clone().unread(Attack::UnreadChunks, chunk.clone());
            runtime.spawn(unread);
        }
        let rest = self.clone();
        runtime.spawn(async move {
            // What is short would take the room of what is long.
            sleep(Duration::from_millis(500)).await;
            for _ in 0..SLOW {
                let lists = "/v1/manifests?limit=10000".to_owned();
                tokio::spawn(rest.clone().unread(Attack::UnreadLists, lists));
            }
            let events = "/v1/events".to_owned();
            tokio::spawn(rest.clone().unread(Attack::UnreadEvents, events));
            for _ in 0..4 {
                tokio::spawn(rest.clone().put_bodies());
            }
            for _ in 0..2 {
                tokio::spawn(rest.clone().put_envelopes());
            }
            rest.publish(identity).await;
        });
    }

    /// Asks for what is long, and reads a little of it, again and again.
    async fn unread(self, attack: Attack, path: String) {
        loop {
            let _ = self.read_slowly(attack, &path).await;
            sleep(Duration::from_millis(100)).await;
        }
    }

    async fn read_slowly(&self, attack: Attack, path: &str) -> io::Result<()> {
        let tcp = connect_from(source(self.from), self.peer, Some(4096)).await?;
        let mut tls = self.member.over(tcp).await?;
        let ask = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
        tls.write_all(ask.as_bytes()).await?;
        let mut some = [0; 512];
        loop {
            if tls.read(&mut some).await? == 0 {
                return Ok(());
            }
            if some.starts_with(b"HTTP/1.1 200") {
                self.felt.count(attack);
            }
            sleep(Duration::from_millis(500)).await;
        }
    }

    async fn put_bodies(self) {
        let peer = self.peer;
        for seed in (0..BODIES).cycle() {
            let body = bytes(self.from as u64 * BODIES + seed, 1 << 20);
            let url = format!("https://{peer}/v1/chunks/{}", ChunkId::of(&body));
            if let Ok(answer) = self.http.put(url).body(body).send().await {
                self.felt.count(Attack::Bodies);
                drop(answer);
            }
        }
    }

    /// Offers as long as they may be, each with a number for each byte of a key.
    async fn put_envelopes(self) {
        let numbers = "0,".repeat((MAX_MANIFEST_BODY * 3 / 4 - 4096) / 2);
        let payload =
            format!("{{\"v\":1,\"wraps\":[{{\"type\":\"recipient\",\"enc\":[{numbers}0]}}]}}");
        let (payload, signature) = (BASE64.encode(payload.as_bytes()), BASE64.encode(&[1; 64]));
        let (kind, signer) = (Offer::TYPE, "0".repeat(64));
        let body = format!(
            "{{\"payload\":\"{payload}\",\"payloadType\":\"{kind}\",\"signatures\":[{{\"keyid\":\"{signer}\",\"sig\":\"{signature}\"}}]}}"
        );
        let url = format!("https://{}/v1/offers/{}", self.peer, "0".repeat(32));
        let body = Bytes::from(body);
        loop {
            let put = self.http.put(&url).header(CONTENT_TYPE, media::ENVELOPE);
            if put.body(body.clone()).send().await.is_ok() {
                self.felt.count(Attack::Envelopes);
            }
        }
    }

    /// Transfers that all name the same chunks.
    async fn publish(self, identity: Identity) {
        let mut draft = Draft::new(&identity, &named());
        loop {
            draft.offer.transfer_id = TransferId::generate().unwrap();
            let signed = draft.sign(&identity);
            let url = format!("https://{}/v1/manifests/{}", self.peer, signed.id());
            let put = self.http.put(url).header(CONTENT_TYPE, media::ENVELOPE);
            let answer = put.body(signed.envelope().clone()).send().await;
            if answer.is_ok_and(|answer| answer.status() == 201) {
                self.felt.count(Attack::Manifests);
            }
        }
    }

    /// Sends a folder of very many files, which waits for a yes, again and again.
    async fn send_tables(self, sending: Command) {
        let mut sending = tokio::process::Command::from(sending);
        sending.kill_on_drop(true);
        loop {
            if sending.status().await.is_ok_and(|status| status.success()) {
                self.felt.count(Attack::Tables);
            }
        }
    }
}

/// Says half of a handshake, and nothing more.
async fn strange(peer: SocketAddr, number: usize, felt: Arc<Felt>) {
    let from = source(1000 + number % 4);
    loop {
        if let Ok(mut tcp) = connect_from(from, peer, None).await {
            felt.count(Attack::Handshakes);
            // A record of 16 KiB that begins a client's hello, which may be longer.
            let mut half = vec![0x16, 3, 1, 0x40, 0, 1, 0, 0xff, 0xff];
            half.resize(16 << 10, 0);
            let _ = tcp.write_all(&half).await;
            let mut end = [0; 64];
            let _ = tcp.read(&mut end).await;
        }
        sleep(Duration::from_millis(20)).await;
    }
}

fn folder_sender(site: &Site, name: &str) -> Command {
    let folder = format!("{name}-files");
    let path = site.homes.path(&folder);
    fs::create_dir(&path).unwrap();
    for number in 0..FILES {
        fs::write(path.join(format!("a file with a long name {number}")), b"").unwrap();
    }
    let to = site.serving.to();
    let mut command = site.homes.command(name, &["send", &folder, "--to", &to]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Where the attackers run: as if they had a machine of their own, beside the peer's.
fn on_one_core() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .on_thread_start(|| {
            let mut core = CpuSet::new();
            core.set(1);
            // A machine of one core has no other to give.
            let _ = sched_setaffinity(None, &core);
            rustix::process::nice(10).unwrap();
        })
        .build()
        .unwrap()
}
