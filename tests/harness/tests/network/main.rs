//! Bad networks: slow, broken for a while, wrong in a byte, flooded, and peers that vanish. What was sent arrives all the same.
//!
//! `cargo test -p harness --test network -- --nocapture`. With `COLIS_ROUNDS` so many damaged connections, and longer silences.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test ends where something is not as it must be, and says what it measured"
)]

mod partition;
mod thin;
mod vanished;

use std::{
    fs,
    sync::Arc,
    time::{Duration, Instant},
};

use colis::{
    client::ClientOptions,
    manifest::DEFAULT_CHUNK_SIZE,
    store::Store,
    transfer::{self, SendOptions, Silent, Sources, TransferError},
};

use colis::testing::{Damage, Entrance, Link, LinkOptions, Way};
use harness::load::Load;
use harness::rand;
use testkit::{Homes, Serving, bytes, is_long, rounds};

/// From `a` over a link to the peer `b`.
struct Road {
    homes: Homes,
    load: Load,
    link: Link,
    _entrance: Entrance,
    store: [Arc<dyn Store>; 1],
    _serving: Serving,
}

impl Road {
    async fn new(link: LinkOptions, options: ClientOptions) -> Self {
        let homes = Homes::new(&["b"]);
        let load = Load::new(&homes);
        let serving = homes.serve("b", &["--inbox", "auto"]);
        let link = Link::new(link);
        let entrance = link.lead_to(serving.address).await.unwrap();
        let client = load.patient_client(&entrance.address().to_string(), options);
        Self {
            homes,
            load,
            link,
            _entrance: entrance,
            store: [Arc::new(client)],
            _serving: serving,
        }
    }

    /// Sends a file as it would be sent, in chunks of the usual size.
    async fn send(&self, name: &str, content: &[u8]) -> Result<(), TransferError> {
        let path = self.homes.path(name);
        fs::write(&path, content).unwrap();
        let sources = Sources::walk(std::slice::from_ref(&path)).unwrap();
        let options = SendOptions {
            chunk_size: DEFAULT_CHUNK_SIZE,
            ..self.load.options.clone()
        };
        let sent = transfer::send(&self.load.sender, sources, &options, &self.store, &Silent);
        let manifest = sent.await?.manifest.unwrap();
        let settled = transfer::wait_until_settled(&*self.store[0], manifest).await;
        settled.map_err(TransferError::from)?;
        Ok(())
    }

    /// What arrived as `name`.
    fn received(&self, name: &str) -> Vec<u8> {
        fs::read(self.homes.home("b").join("received").join(name)).unwrap()
    }
}

/// Milliseconds each way, jitter, bytes a second, MiB to send.
const LINKS: [(u64, u64, u64, usize); 6] = [
    (1, 0, 0, 10),
    (50, 20, 0, 10),
    (300, 0, 0, 10),
    (300, 300, 0, 10),
    (20, 5, 1 << 20, 10),
    (20, 5, 128 << 10, 2),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transfer_completes_over_slow_links() {
    let sends = LINKS.map(|(latency, jitter, rate, size)| async move {
        let mut link = LinkOptions::default();
        link.latency = Duration::from_millis(latency);
        link.jitter = Duration::from_millis(jitter);
        link.rate = rate;
        let road = Road::new(link, ClientOptions::default()).await;
        let content = bytes(latency + rate, size << 20);
        let begun = Instant::now();
        let sent = road.send("slow.bin", &content).await;
        let took = begun.elapsed();
        let passed = road.link.passed(Way::To);
        eprintln!(
            "{latency}+{jitter} ms each way, {} KiB/s: {size} MiB in {took:?}, {} KiB on the way",
            rate >> 10,
            passed >> 10
        );
        sent.unwrap();
        assert!(road.received("slow.bin") == content);
        // What is sent twice was given up for slow; a tenth is handshakes, heads and table.
        assert!(
            passed <= (content.len() * 11 / 10) as u64,
            "{passed} bytes sent"
        );
    });
    futures::future::join_all(sends).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_byte_is_noticed_and_the_file_arrives_as_it_was() {
    let options = ClientOptions {
        idle_timeout: Duration::from_secs(3),
        retries: 20,
        pause: (Duration::from_millis(1), Duration::from_millis(20)),
        ..ClientOptions::default()
    };
    let (rounds, mut again) = (rounds(12), 0);
    for round in 0..rounds {
        let road = Road::new(LinkOptions::default(), options).await;
        let way = if round % 3 == 2 { Way::Back } else { Way::To };
        let kinds = [
            Damage::Flipped,
            Damage::Twice,
            Damage::Inserted,
            Damage::Lost,
        ];
        let (what, most) = (
            kinds[round % 4],
            if way == Way::To { 300_000 } else { 3000 },
        );
        road.link.damage(way, rand(most), what);
        let content = bytes(round as u64, 3 << 20);
        let sent = road.send("damaged.bin", &content).await;
        if let Err(error) = sent {
            // The first byte of all tells TLS from everything else.
            eprintln!("round {round}, {what:?} {way:?}: {error}; once more");
            again += 1;
            road.send("damaged.bin", &content).await.unwrap();
        }
        assert!(road.received("damaged.bin") == content, "{what:?} {way:?}");
        assert!(!road.link.will_damage(), "nothing was damaged");
        testkit::wait_for("the damaged connection ends", || {
            road.link.damage_noticed() == 1
        });
    }
    eprintln!(
        "{rounds} of {rounds} damaged connections were noticed, {again} of them to be sent again by hand"
    );
    assert!(
        again * 50 <= rounds,
        "{again} of {rounds} did not try again by themselves"
    );
}

#[test]
fn a_flood_of_multicast_dns_costs_little_memory_and_hides_nobody() {
    // 30 seconds' worth.
    testkit::flood::is_survived(300_000);
}
