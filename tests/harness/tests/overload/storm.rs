//! Every attack on memory at once, by three members and a stranger on one core, on a peer that may have 256 MiB.
//!
//! The same storm blows on another process first: what the others bear then is what the cores cost them.

use std::{fs, path::Path, process::Output, time::Duration};

use bytes::Bytes;
use colis::{
    id::{ChunkId, PeerId, TransferId},
    manifest::MAX_WRAPS,
    store::{LocalStore, LocalStoreOptions, Store as _},
    wire::MAX_CHUNK_BODY,
};
use tokio::{task::spawn_blocking, time::sleep};

use crate::{
    FAST_MS,
    attacks::Storm,
    good::{Good, Seen, median},
    room::{PEAK, Room},
    site::{Site, mib},
};
use testkit::{
    Homes, bytes,
    sealed::{self, Draft, TestSigner, wrap_for},
    stretch,
};

/// Transfers with as many recipients as there may be: the catalogue has some pages.
const TRANSFERS: usize = 256;
/// Chunks that every manifest of the flood names.
const NAMED: u64 = 2000;
const WINDOW: Duration = Duration::from_secs(8);

/// Storms in turn on another peer and on this one, so many times, and looks how the others fare.
pub(crate) async fn measure(turns: usize) {
    let room = Room::make();
    if room.is_none() {
        eprintln!("a limit of memory was not tried: no control group can be made");
    }
    let (site, other) = (target(room.as_ref()).await, target(None).await);
    let good = Good::start(&site).await;
    let before = site.resident();
    let (mut base, mut slow) = (Vec::new(), Vec::new());
    for turn in 0..turns {
        for (number, (under, times)) in [(&other, &mut base), (&site, &mut slow)]
            .into_iter()
            .enumerate()
        {
            let storm = Storm::start(under, turn);
            sleep(Duration::from_secs(2)).await;
            let exchange = exchange(&site, 2 * turn + number);
            let (seen, sent) = tokio::join!(good.watch(WINDOW), exchange);
            eprintln!("{}", seen.show());
            storm.stop();
            works(&seen, &sent);
            times.push(seen.p99());
        }
    }
    let (peak, killed) = (site.peak(), room.as_ref().map(Room::killed));
    let (base, slow) = (median(base), median(slow));
    eprintln!(
        "p99 {base:.1} and {slow:.1} ms; {} MiB before, at most {} MiB; killed: {killed:?}",
        mib(before),
        mib(peak)
    );
    drop((site, other));
    assert_eq!(killed.unwrap_or(0), 0, "it was killed");
    assert!(peak <= PEAK, "at most {} MiB", mib(peak));
    assert!(slow <= (5.0 * base).max(FAST_MS) * stretch(), "{slow} ms");
}

/// The good clients were answered, and what one of them sent came back.
fn works(seen: &Seen, sent: &[Output]) {
    assert!(seen.failures.is_empty(), "{:#?}", seen.failures);
    for output in sent {
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
    }
}

/// A peer that lets all wait for a yes, with a large chunk, many small ones and a long catalogue.
async fn target(room: Option<&Room>) -> Site {
    let homes = Homes::new(&["good"]);
    fill(&homes.home("a").join("chunks")).await;
    let args = [
        "--json",
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--inbox",
        "ask",
    ];
    let mut command = homes.command("a", &args);
    if let Some(room) = room {
        command = room.around(&command);
    }
    let serving = homes.serve_by("a", command);
    Site::around(homes, serving)
}

async fn fill(store: &Path) {
    let store = LocalStore::open(store, LocalStoreOptions::default()).unwrap();
    let large = large();
    store
        .put_chunk(ChunkId::of(&large), large, None)
        .await
        .unwrap();
    for seed in 0..NAMED {
        let (id, sealed) = sealed::chunk(seed, 30);
        store.put_chunk(id, sealed, None).await.unwrap();
    }
    let signer = TestSigner::new(1);
    let mut draft = Draft::new(&signer, &named()[..3]);
    let readers = (1..MAX_WRAPS).map(|n| wrap_for(PeerId::of(&n.to_be_bytes())));
    draft.offer.wraps.extend(readers);
    for _ in 0..TRANSFERS {
        draft.offer.transfer_id = TransferId::generate().unwrap();
        store.put_manifest(&draft.sign(&signer)).await.unwrap();
    }
}

pub(crate) fn large() -> Bytes {
    Bytes::from(vec![7; MAX_CHUNK_BODY])
}

pub(crate) fn named() -> Vec<ChunkId> {
    (0..NAMED).map(|seed| sealed::chunk(seed, 30).0).collect()
}

/// A member sends a file and fetches it back while it storms.
async fn exchange(site: &Site, number: usize) -> Vec<Output> {
    let homes = &site.homes;
    let name = format!("file{number}");
    let content = bytes(number as u64, 8 << 20);
    fs::write(homes.path(&name), content).unwrap();
    let to = site.serving.to();
    let commands = [
        homes.command("good", &["send", &name, "--to", &to]),
        homes.command("good", &["receive", &name, "--from", &to, "--out", "back"]),
    ];
    let run = spawn_blocking(|| commands.map(|mut command| command.output().unwrap()));
    run.await.unwrap().into()
}
