//! One member does all that the routes let it do against the others, who send and put meanwhile: what was acknowledged to them
//! stays, and their sends complete.

use std::{
    io::Write as _,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use colis::{
    client::{ClientOptions, PeerClient},
    id::{ChunkId, ManifestId, TransferId},
    manifest::{SignedManifest, Signer as _, Timestamp},
    store::{PageRequest, Store as _, StoreError},
    tls::Identity,
};
use harness::{
    ledger::{KEEPING, Ledger},
    load::{Load, content},
};
use testkit::{
    Homes,
    sealed::{Draft, wrap_for},
    site::{Site, certificate, certs, key, request, shows},
};
use tokio::runtime::Runtime;

use crate::rand;

/// Chunks that one hostile manifest names.
const NAMED: usize = 200;
/// Connections that ask and do not read.
const UNREAD: usize = 6;
const LARGE: usize = 16 << 20;
/// The longest body of an offer.
const OFFER: usize = 8 << 20;

/// For so long. Gives how much of the others was acknowledged and how often the hostile member tried something, with what
/// was broken.
pub(crate) fn campaign(length: Duration) -> (usize, usize, Vec<String>) {
    let homes = Homes::new(&["b", "m"]);
    let load = Arc::new(Load::new(&homes));
    let hostile = Load::of("m", &homes);
    let serving = homes.serve("b", &KEEPING);
    let site = Site { homes, serving };
    let (ledger, address) = (Ledger::default(), site.serving.to());
    let (over, tried) = (AtomicBool::new(false), AtomicUsize::new(0));
    let mallory = Mallory {
        me: site.identity("m"),
        client: hostile.client(&address),
        over: &over,
        tried: &tried,
    };
    let (mut broken, regretted) = (Vec::new(), Mutex::default());
    thread::scope(|scope| {
        scope.spawn(|| {
            Runtime::new()
                .unwrap()
                .block_on(mallory.names_and_deletes())
        });
        scope.spawn(|| {
            Runtime::new()
                .unwrap()
                .block_on(mallory.offers_and_repeats())
        });
        scope.spawn(|| mallory.does_not_read(&site));
        let honest = (0..3).map(|n| {
            let (load, ledger, over, regretted) = (&load, &ledger, &over, &regretted);
            let client = load.patient_client(&address, ClientOptions::default());
            scope.spawn(move || {
                let runtime = Runtime::new().unwrap();
                runtime.block_on(send_and_put(load, &client, ledger, over, (n, regretted)))
            })
        });
        let honest: Vec<_> = honest.collect();
        thread::sleep(length);
        over.store(true, Ordering::SeqCst);
        let ended = honest.into_iter().map(|honest| honest.join().unwrap());
        broken.extend(ended.flat_map(Result::err));
    });
    broken.extend(ledger.verify(&site.homes.home("b")));
    let manifests = site.homes.home("b").join("chunks/manifests");
    for id in regretted.into_inner().unwrap() {
        let back = manifests.join(id.to_string()).exists();
        broken.extend(back.then(|| format!("{id} was deleted and is back")));
    }
    let log = site.homes.log("b");
    broken.extend(
        log.lines()
            .find(|line| line.contains("panicked"))
            .map(str::to_owned),
    );
    let (chunks, transfers) = ledger.acknowledged();
    (chunks + transfers, tried.into_inner(), broken)
}

/// One honest client, which is told at once when something of it is not taken.
async fn send_and_put(
    load: &Load,
    client: &PeerClient,
    ledger: &Ledger,
    over: &AtomicBool,
    (client_number, regretted): (u64, &Mutex<Vec<ManifestId>>),
) -> Result<(), String> {
    for number in (client_number * 1_000_000).. {
        let (name, bytes) = (format!("{number}.bin"), content(number));
        ledger.sends(&name, &bytes);
        let sent = load.send(client, &name, &bytes).await;
        ledger.has_transfer(sent.map_err(|e| format!("sending {name}: {e}"))?, &name);
        let sealed = Bytes::from(content(number + 500_000));
        let id = ChunkId::of(&sealed);
        let put = client.put_chunk(id, sealed, None).await;
        put.map_err(|e| format!("putting {id}: {e}"))?;
        ledger.has_chunk(id);
        regret(load, client, id, regretted).await?;
        if over.load(Ordering::SeqCst) {
            break;
        }
    }
    Ok(())
}

/// Publishes a transfer for nobody else, and deletes it while others may have it.
async fn regret(
    load: &Load,
    client: &PeerClient,
    chunk: ChunkId,
    regretted: &Mutex<Vec<ManifestId>>,
) -> Result<(), String> {
    let failed = |e: StoreError| format!("publishing and deleting: {e}");
    let another = Bytes::from(content(u64::MAX / 4 + rand(1 << 40)));
    let second = ChunkId::of(&another);
    let put = client.put_chunk(second, another, None).await;
    put.map_err(failed)?;
    let signer = &*load.sender.signer;
    let manifest = Draft::new(signer, &[chunk, second]).sign(signer);
    client.put_manifest(&manifest).await.map_err(failed)?;
    tokio::time::sleep(Duration::from_millis(rand(100))).await;
    client
        .delete_manifest(manifest.id())
        .await
        .map_err(failed)?;
    regretted.lock().unwrap().push(manifest.id());
    Ok(())
}

/// A member with a valid certificate and no good intention. Whatever is refused, it goes on.
struct Mallory<'a> {
    me: Identity,
    client: PeerClient,
    over: &'a AtomicBool,
    tried: &'a AtomicUsize,
}

impl Mallory<'_> {
    fn goes_on(&self) -> bool {
        self.tried.fetch_add(1, Ordering::Relaxed);
        !self.over.load(Ordering::SeqCst)
    }

    /// Names the chunks of the others in manifests that end at once, or as soon as they may; deletes those of the others.
    async fn names_and_deletes(&self) {
        while self.goes_on() {
            let Some(ids) = self.chunks_of_others().await else {
                continue;
            };
            let mut draft = Draft::new(&self.me, &ids);
            let life = [30, 61, 3600][rand(3) as usize];
            draft.offer.expires = Some(Timestamp::now().plus_seconds(life));
            let manifest = draft.sign(&self.me);
            if self.client.put_manifest(&manifest).await.is_ok() {
                let _ = self.client.delete_manifest(manifest.id()).await;
            }
            for id in self.manifests().await {
                let _ = self.client.delete_manifest(id).await;
            }
        }
    }

    /// Reserves everything, addresses to `b` what nobody can open, and puts again whatever there was.
    async fn offers_and_repeats(&self) {
        let mut kept: Vec<SignedManifest> = Vec::new();
        while self.goes_on() {
            let junk = Bytes::from(content(u64::MAX / 2 + rand(1 << 40)));
            let id = ChunkId::of(&junk);
            let _ = self.client.put_chunk(id, junk, None).await;
            let more = Bytes::from(vec![kept.len() as u8; 100 + rand(1000) as usize]);
            let second = ChunkId::of(&more);
            let _ = self.client.put_chunk(second, more, None).await;
            let mut draft = Draft::new(&self.me, &[id, second]);
            let mut all = Draft::new(&self.me, &[id, second]);
            (all.offer.chunk_size, all.offer.size) = (64 << 20, Some(1 << (20 + rand(22))));
            let _ = self.client.put_offer(&all.sign_offer(&self.me)).await;
            for info in self.infos().await {
                draft.offer.wraps.truncate(1);
                let others = info
                    .recipients
                    .iter()
                    .filter(|peer| **peer != self.me.peer_id());
                draft.offer.wraps.extend(others.map(|peer| wrap_for(*peer)));
                if let Ok(envelope) = self.client.get_manifest(info.id).await {
                    kept.extend(SignedManifest::parse(envelope));
                }
            }
            let _ = self.client.put_manifest(&draft.sign(&self.me)).await;
            for manifest in kept.iter().rev().take(10) {
                let _ = self.client.put_manifest(manifest).await;
            }
            kept.truncate(200);
        }
    }

    /// Asks for what is large, offers junk as long as an offer may be, and reads no answer.
    fn does_not_read(&self, site: &Site) {
        let m = certs(&site.homes, "m");
        let config = || shows(&site.homes, vec![certificate(&m)], key(&m));
        let large = vec![0x5e; LARGE];
        let at = format!("/v1/chunks/{}", ChunkId::of(&large));
        let wraps = br#"{"type":"recipient","enc":[0,0,0,0,0,0,0,0]},"#.repeat(OFFER / 46);
        let offer = format!("/v1/offers/{}", TransferId::generate().unwrap());
        let json = "content-type: application/vnd.dsse+json\r\n";
        let requests = [
            request("PUT", &at, "", &large),
            request("GET", &at, "", b""),
            request("GET", "/v1/manifests?limit=10000", "", b""),
            request("PUT", &offer, json, &wraps),
            request(
                "POST",
                "/v1/certs/renew",
                "content-type: application/x-pem-file\r\n",
                b"x",
            ),
            request("GET", "/v1/chunks?limit=10000", "", b""),
        ];
        let (mut open, begin) = (Vec::new(), Instant::now());
        for bytes in requests.iter().cycle() {
            if !self.goes_on() {
                break;
            }
            let mut stream = site.connect(config());
            let _ = stream.write_all(bytes);
            open.push(stream);
            if open.len() > UNREAD {
                open.remove(rand(UNREAD as u64) as usize);
            }
            // Less than its share of connections, or it is only kept out.
            thread::sleep(Duration::from_millis(20).min(begin.elapsed()));
        }
    }

    /// Some of those that are listed, at most [`NAMED`].
    async fn chunks_of_others(&self) -> Option<Vec<ChunkId>> {
        let limit = NAMED;
        let after = Some(ChunkId::of(&rand(u64::MAX).to_be_bytes()));
        let page = self.client.list_chunks(PageRequest { after, limit }).await;
        let ids: Vec<_> = page.ok()?.items.iter().map(|info| info.id).collect();
        (ids.len() > 2).then_some(ids)
    }

    async fn infos(&self) -> Vec<colis::store::ManifestInfo> {
        let after = Some(ManifestId::of(&rand(u64::MAX).to_be_bytes()));
        let page = PageRequest { after, limit: 20 };
        let page = self.client.list_manifests(page, None).await;
        page.map_or_else(|_| Vec::new(), |page| page.items)
    }

    async fn manifests(&self) -> Vec<ManifestId> {
        self.infos().await.iter().map(|info| info.id).collect()
    }
}
