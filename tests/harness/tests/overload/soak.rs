//! A peer under a mixed load with faults, for long: what it uses stays as it is.

use std::{
    fs,
    process::{Child, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use colis::{
    client::{ClientOptions, PeerClient},
    id::ChunkId,
    store::Store,
    transfer::{self, Silent, Sources},
};
use tokio::{
    io::AsyncWriteExt as _,
    task::JoinSet,
    time::{interval, sleep},
};

use crate::site::{Member, Site, mib, source, until};
use colis::testing::{Entrance, Link, LinkOptions};
use harness::ledger::{KEEPING, Ledger};
use harness::load::{Load, content};
use harness::rand;
use testkit::{Homes, bytes};

/// A connection over the link ends after so many bytes of one direction, at most.
const LIFE: u64 = 1 << 20;
/// What a client sends that is killed, and how fast, so that it is killed in the middle on every machine.
const KILLED: usize = 4 << 20;
const KILLED_RATE: &str = "1MiB";
/// It is killed within so many milliseconds: before it can be done.
const KILLED_WITHIN: u64 = 1500;
/// After warming up, memory may differ by so much between the first and the last quarter: what the allocator keeps in
/// its arenas goes up and down by a few bodies of 1 MiB, and a leak of 100 bytes a request would be 40 MiB in half an hour.
const MEMORY: u64 = 16 << 20;
/// Connections that were just open when it was looked.
const DESCRIPTORS: usize = 8;

/// What all of them share.
struct Shared {
    site: Site,
    load: Load,
    ledger: Ledger,
    entrance: Entrance,
    link: Link,
    go_on: AtomicBool,
    number: AtomicUsize,
    done: Mutex<Done>,
}

/// What was done, of each kind.
#[derive(Debug, Default)]
struct Done {
    sent: usize,
    put: usize,
    read: usize,
    aborted: usize,
    killed: usize,
    errors: Vec<String>,
}

/// What the process used, once a second.
struct Sample {
    resident: u64,
    descriptors: usize,
}

/// Loads a peer for so long.
pub(crate) async fn measure(time: Duration) {
    let homes = Homes::new(&["b"]);
    let load = Load::new(&homes);
    let serving = homes.serve("b", &KEEPING);
    let mut options = LinkOptions::default();
    options.life = LIFE;
    let link = Link::new(options);
    let shared = Arc::new(Shared {
        entrance: link.lead_to(serving.address).await.unwrap(),
        link,
        site: Site::around(homes, serving),
        load,
        ledger: Ledger::default(),
        go_on: AtomicBool::new(true),
        number: AtomicUsize::new(0),
        done: Mutex::default(),
    });
    fs::write(shared.site.homes.path("killed.bin"), bytes(9, KILLED)).unwrap();
    let before = shared.site.descriptors();
    let mut workers = shared.clone().begin();
    let samples = shared.watch(time).await;
    shared.go_on.store(false, Ordering::SeqCst);
    while let Some(ended) = workers.join_next().await {
        ended.unwrap();
    }
    let is_base = || shared.site.descriptors() <= before + 2;
    until("every descriptor is free again", is_base).await;
    judge(&samples);
    let done = shared.done.lock().unwrap();
    let cuts = shared.link.lives_ended();
    eprintln!("{done:?}, {cuts} connections cut");
    assert!(done.errors.is_empty(), "{:#?}", done.errors);
    let all = [
        done.sent,
        done.put,
        done.read,
        done.aborted,
        done.killed,
        cuts,
    ];
    assert!(!all.contains(&0), "something was never done");
    let lost = shared.ledger.verify(&shared.site.homes.home("b"));
    assert!(lost.is_empty(), "{lost:#?}");
}

/// Holds the last quarter against the first, after a fifth of the time to warm up.
fn judge(samples: &[Sample]) {
    let warm = &samples[samples.len() / 5..];
    let quarter = warm.len() / 4;
    let middle = |part: &[Sample], what: fn(&Sample) -> u64| {
        let mut numbers: Vec<_> = part.iter().map(what).collect();
        numbers.sort_unstable();
        numbers[numbers.len() / 2]
    };
    let (first, last) = (&warm[..quarter], &warm[warm.len() - quarter..]);
    let memory = [first, last].map(|part| middle(part, |sample| sample.resident));
    let descriptors = [first, last].map(|part| middle(part, |sample| sample.descriptors as u64));
    let [before, after] = memory.map(|bytes| bytes >> 10);
    eprintln!("first and last quarter: {before} and {after} KiB, {descriptors:?} descriptors");
    assert!(
        memory[1] <= memory[0] + MEMORY,
        "{} MiB more",
        mib(memory[1] - memory[0])
    );
    assert!(
        descriptors[1] <= descriptors[0] + DESCRIPTORS as u64,
        "{descriptors:?}"
    );
}

impl Shared {
    fn begin(self: Arc<Self>) -> JoinSet<()> {
        let mut workers = JoinSet::new();
        let direct = self.load.client(&self.site.serving.to());
        let options = ClientOptions {
            retries: 100,
            pause: (Duration::from_millis(1), Duration::from_millis(100)),
            ..ClientOptions::default()
        };
        let through = self.entrance.address().to_string();
        let cut = self.load.patient_client(&through, options);
        for client in [direct.clone(), cut] {
            workers.spawn(self.clone().send(client));
        }
        for _ in 0..2 {
            workers.spawn(self.clone().put(direct.clone()));
            workers.spawn(self.clone().read(direct.clone()));
            let member = self.site.member(&format!("aborting{}", workers.len()));
            workers.spawn(self.clone().abort(member));
        }
        workers.spawn(self.clone().kill());
        workers
    }

    /// Looks at the process once a second; says how it is once a minute.
    async fn watch(&self, time: Duration) -> Vec<Sample> {
        let (begun, mut samples) = (Instant::now(), Vec::new());
        let mut ticks = interval(Duration::from_secs(1));
        while begun.elapsed() < time {
            ticks.tick().await;
            let sample = Sample {
                resident: self.site.resident(),
                descriptors: self.site.descriptors(),
            };
            if samples.len() % 60 == 59 {
                let Sample {
                    resident,
                    descriptors,
                } = sample;
                eprintln!("{} s: {} KiB, {descriptors}", samples.len(), resident >> 10);
            }
            samples.push(sample);
        }
        samples
    }

    /// Runs `work` every `milliseconds` until the end, and notes what fails.
    async fn every<F>(&self, milliseconds: u64, mut work: impl FnMut() -> F)
    where
        F: Future<Output = Result<(), String>>,
    {
        let mut ticks = interval(Duration::from_millis(milliseconds));
        while self.go_on.load(Ordering::SeqCst) {
            ticks.tick().await;
            let worked = work().await;
            self.done.lock().unwrap().errors.extend(worked.err());
        }
    }

    fn next(&self) -> (u64, Vec<u8>) {
        let number = self.number.fetch_add(1, Ordering::SeqCst) as u64;
        (number, content(number))
    }

    /// Sends files, looks whether they arrive, and takes both away.
    async fn send(self: Arc<Self>, client: PeerClient) {
        let stores: [Arc<dyn Store>; 1] = [Arc::new(client)];
        self.every(700, || self.send_one(&stores)).await;
    }

    async fn send_one(&self, stores: &[Arc<dyn Store>; 1]) -> Result<(), String> {
        let told = |error: &dyn std::fmt::Display| format!("sending: {error}");
        let (number, content) = self.next();
        let name = format!("{number}.bin");
        let path = self.site.homes.path("load").join(&name);
        fs::write(&path, &content).unwrap();
        let sources = Sources::walk(std::slice::from_ref(&path)).unwrap();
        let load = &self.load;
        let sent = transfer::send(&load.sender, sources, &load.options, stores, &Silent).await;
        let manifest = sent.map_err(|e| told(&e))?.manifest.unwrap();
        let settled = transfer::wait_until_settled(&*stores[0], manifest).await;
        settled.map_err(|e| told(&e))?;
        let received = self.site.homes.home("b").join("received").join(&name);
        if fs::read(&received).ok() != Some(content) {
            return Err(format!("{name} is not what was sent"));
        }
        fs::remove_file(received).unwrap();
        fs::remove_file(path).unwrap();
        let gone = stores[0].delete_manifest(manifest).await;
        // Over the link the answer may be lost, and then it is gone when it is asked for again.
        if !matches!(
            gone,
            Ok(()) | Err(colis::store::StoreError::NotFound { .. })
        ) {
            return Err(told(&format!("{gone:?}")));
        }
        self.done.lock().unwrap().sent += 1;
        Ok(())
    }

    async fn put(self: Arc<Self>, client: PeerClient) {
        self.every(250, || async {
            let sealed = Bytes::from(self.next().1);
            let id = ChunkId::of(&sealed);
            let put = client.put_chunk(id, sealed, None).await;
            put.map_err(|e| format!("putting: {e}"))?;
            self.ledger.has_chunk(id);
            self.done.lock().unwrap().put += 1;
            Ok(())
        })
        .await;
    }

    async fn read(self: Arc<Self>, client: PeerClient) {
        self.every(50, || async {
            let number = usize::try_from(rand(1 << 32)).unwrap();
            let Some(id) = self.ledger.some_chunk(number) else {
                return Ok(());
            };
            let read = client.get_chunk(id).await;
            read.map_err(|e| format!("reading: {e}"))?;
            self.done.lock().unwrap().read += 1;
            Ok(())
        })
        .await;
    }

    /// Connections that end at any place of a request, or before.
    async fn abort(self: Arc<Self>, member: Member) {
        let id = ChunkId::of(b"never");
        let head =
            format!("PUT /v1/chunks/{id} HTTP/1.1\r\nhost: x\r\ncontent-length: 300000\r\n\r\n");
        let request = [head.into_bytes(), bytes(3, 200_000)].concat();
        self.every(200, || async {
            let from = source(usize::try_from(rand(1000)).unwrap());
            let connected = member.connect(from, self.site.serving.address).await;
            let mut tls = connected.map_err(|e| format!("connecting: {e}"))?;
            let end = usize::try_from(rand(request.len() as u64)).unwrap();
            // It may have been cut because the other side has seen enough.
            let _ = tls.write_all(&request[..end]).await;
            self.done.lock().unwrap().aborted += 1;
            Ok(())
        })
        .await;
    }

    /// `colis send`, killed at any time of it.
    async fn kill(self: Arc<Self>) {
        self.every(2000, || async {
            let to = self.site.serving.to();
            let send = [
                "-q",
                "send",
                "killed.bin",
                "--to",
                &to,
                "--limit",
                KILLED_RATE,
            ];
            let mut command = self.site.homes.command("a", &send);
            let mut child: Child = command.stdout(Stdio::null()).spawn().unwrap();
            sleep(Duration::from_millis(rand(KILLED_WITHIN))).await;
            let mut done = self.done.lock().unwrap();
            match child.try_wait().unwrap() {
                Some(code) => done
                    .errors
                    .push(format!("a client ended with {code} before it was killed")),
                None => {
                    child.kill().unwrap();
                    child.wait().unwrap();
                    done.killed += 1;
                }
            }
            Ok(())
        })
        .await;
    }
}
