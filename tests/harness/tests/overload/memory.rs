//! Many bodies at once under a limit of memory: what does not fit is turned away, and nobody is killed.

use std::sync::Arc;

use bytes::Bytes;
use colis::{
    id::{ChunkId, ManifestId},
    tls::{CertsDir, Identity},
    wire::media,
};
use reqwest::{
    Client, RequestBuilder, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER},
};
use tokio::{sync::Barrier, task::JoinSet};

use crate::{
    is_long,
    room::{LIMIT, PEAK, Room},
    site::{Site, mib, source},
};
use testkit::sealed::Draft;
use testkit::{Homes, bytes};

const MEMBERS: usize = 8;
/// Of each kind, of each member at once.
const BODIES: usize = 8;
const MANIFESTS: usize = 2;
/// Table and content of the largest transfer.
const IDS: (u64, u64) = (8192, 65_536);

/// What came back.
#[derive(Default)]
struct Answers {
    well: usize,
    turned_away: usize,
    other: Vec<String>,
}

/// Bombards a peer so many times with everything at once.
pub(crate) async fn measure(rounds: usize) {
    let homes = Homes::new(&[]);
    let room = Room::make();
    let listen = ["--json", "serve", "--listen", "127.0.0.1:0"];
    let mut command = homes.command("a", &listen);
    command.args(["--inbox", "off"]);
    match &room {
        Some(room) => command = room.around(&command),
        None => eprintln!("a limit of memory was not tried: no control group can be made"),
    }
    let serving = homes.serve_by("a", command);
    let site = Site::around(homes, serving);
    let before = site.resident();
    let answers = bombard(&site, rounds).await;
    let (peak, killed) = (site.peak(), room.as_ref().map(Room::killed));
    eprintln!(
        "{} answered, {} turned away; {} MiB before, at most {} MiB; killed: {killed:?}",
        answers.well,
        answers.turned_away,
        mib(before),
        mib(peak)
    );
    drop(site);
    assert!(answers.other.is_empty(), "{:#?}", answers.other);
    assert!(answers.turned_away > 0, "there was never too much");
    assert_eq!(killed.unwrap_or(0), 0, "it was killed");
    // What the allocator keeps of bodies that are gone can be more, so a few rounds are held only to the limit.
    let most = if is_long() { PEAK } else { LIMIT };
    assert!(peak <= most, "at most {} MiB", mib(peak));
}

async fn bombard(site: &Site, rounds: usize) -> Answers {
    let certs = CertsDir::new(site.homes.home("a").join("certs"));
    let envelope = largest_manifest(&Identity::load(&certs).unwrap());
    let members = site.members("member", MEMBERS);
    // From one address not so many may be in their handshake at once.
    let client = |(number, member)| site.http(member, source(number));
    let clients: Vec<_> = members.iter().enumerate().map(client).collect();
    let there = Bytes::from(bytes(1, 1 << 20));
    let stored = put_chunk(site, &clients[0], &there).send().await.unwrap();
    assert_eq!(stored.status(), StatusCode::CREATED);
    let mut answers = Answers::default();
    for round in 0..rounds {
        let mut requests = Vec::new();
        for (number, client) in clients.iter().enumerate() {
            for body in 0..BODIES {
                let seed = (round * MEMBERS + number) * BODIES + body + 2;
                let body = Bytes::from(bytes(seed as u64, 1 << 20));
                requests.push(put_chunk(site, client, &body));
                requests.push(client.get(chunk_url(site, &there)));
            }
            let client = site.http(&members[number], source(MEMBERS + number));
            for _ in 0..MANIFESTS {
                requests.push(put_manifest(site, &client, &envelope));
            }
        }
        let mut asked = JoinSet::new();
        let together = Arc::new(Barrier::new(requests.len()));
        for request in requests {
            let together = together.clone();
            asked.spawn(async move {
                together.wait().await;
                answer(request).await
            });
        }
        while let Some(answer) = asked.join_next().await {
            answers.count(answer.unwrap());
        }
    }
    answers
}

pub(crate) fn chunk_url(site: &Site, sealed: &Bytes) -> String {
    let id = ChunkId::of(sealed);
    format!("https://{}/v1/chunks/{id}", site.serving.address)
}

pub(crate) fn put_chunk(site: &Site, client: &Client, sealed: &Bytes) -> RequestBuilder {
    client.put(chunk_url(site, sealed)).body(sealed.clone())
}

fn put_manifest(site: &Site, client: &Client, envelope: &Bytes) -> RequestBuilder {
    let id = ManifestId::of(envelope);
    let url = format!("https://{}/v1/manifests/{id}", site.serving.address);
    let request = client.put(url).header(CONTENT_TYPE, media::ENVELOPE);
    request.body(envelope.clone())
}

/// Status and whether it says when to come again; the body is read to its end.
async fn answer(request: RequestBuilder) -> Result<(StatusCode, bool), reqwest::Error> {
    let response = request.send().await?;
    let says_when = response.headers().contains_key(RETRY_AFTER);
    let status = response.status();
    response.bytes().await?;
    Ok((status, says_when))
}

impl Answers {
    fn count(&mut self, answer: Result<(StatusCode, bool), reqwest::Error>) {
        match answer {
            // Its chunks are not here.
            Ok((StatusCode::CREATED | StatusCode::OK | StatusCode::CONFLICT, _)) => self.well += 1,
            Ok((StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS, true)) => {
                self.turned_away += 1;
            }
            other => self.other.push(format!("{other:?}")),
        }
    }
}

/// The envelope of a transfer that has as many chunks as one may have.
fn largest_manifest(signer: &Identity) -> Bytes {
    let id = |number: u64| ChunkId::of(&number.to_be_bytes());
    let (table, content) = IDS;
    let mut draft = Draft::new(signer, &[0, 1, 2].map(id));
    draft.offer.size = None;
    draft.offer.table = (0..table).map(id).collect();
    draft.chunks = (table..table + content).map(id).collect();
    draft.sums.clear();
    let signed = draft.sign(signer);
    eprintln!("a manifest has {} bytes", signed.envelope().len());
    signed.envelope().clone()
}
