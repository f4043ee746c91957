//! `demo`: the main job with two throwaway peers on this machine, step by step, with figures.

mod folder;
mod link;
mod material;
mod next;
mod pairing;
mod player;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    pin::pin,
    sync::Arc,
    time::Instant,
};

use tokio::{sync::oneshot, task::JoinHandle};

use super::{
    args::Demo,
    output::Output,
    report::{ExitCode, Failure},
    screen::Screen,
    show,
    signals::{Asked, Ending},
};
use crate::{
    address::loopback,
    client::PeerClient,
    config::units::{Size, SizeText},
    discover::Discovery,
    id::{ManifestId, Short as _},
    manifest::{SignedManifest, Timestamp},
    peer::{ASK_EVERY, InboxOptions, Peer, PeerOptions, RelayOptions},
    received::Received,
    session::{Event, Told, Work},
    store::{LocalStoreOptions, PageRequest, Store, TransferState},
    tls::{
        CertsDir,
        ca::{self, CertificateOptions},
    },
    transfer::{
        self, OpenedTransfer, Progress, ReceiveOptions, Recipient, SendOptions, Sent, Silent,
        Sources, TransferError,
    },
    trust::{Role, SignedBundle},
};
use folder::DemoFolder;
use link::CutLink;
use player::Player;

/// A file of a few chunks at least: some must have passed when the link is cut.
const SMALLEST: u64 = 8 << 20;
/// Chunks in flight.
const JOBS: usize = 4;

pub(super) async fn run(args: &Demo, output: Output) -> Result<ExitCode, Failure> {
    let size = args.size.parse::<SizeText>()?.bytes();
    if size < SMALLEST {
        return Err(
            Failure::usage("a smaller file has no middle to cut").hint("--size 8MiB or more")
        );
    }
    let ending = Ending::new();
    let ending = ending.map_err(|e| Failure::new(ExitCode::Storage, format!("signals: {e}")))?;
    let folder = DemoFolder::make()?;
    let root = folder.path().to_owned();
    let played = perform(output, &root, size, ending.comes()).await;
    // A person may want to look.
    if args.keep {
        let kept = folder.keep();
        output.line(format!("\nkept in {}", kept.display()));
    } else {
        folder.remove();
    }
    played.map_err(|failure| match failure.code {
        code if code.is_interruption() => failure,
        _ => failure.hint(format!(
            "run it again with --keep to look into {}",
            root.display()
        )),
    })?;
    Ok(ExitCode::Ok)
}

/// Plays to the end, or until a signal comes. Nobody writes into `root` after that.
async fn perform(
    output: Output,
    root: &Path,
    size: u64,
    stop: impl Future<Output = Asked>,
) -> Result<(), Failure> {
    let interrupted = |asked: Asked| Failure::new(asked.code(), "interrupted");
    let mut stop = pin!(stop);
    let stage = tokio::select! {
        stage = Stage::set(output, root) => stage?,
        asked = &mut stop => return Err(interrupted(asked)),
    };
    let played = tokio::select! {
        played = stage.play(size) => played,
        asked = &mut stop => Err(interrupted(asked)),
    };
    stage.stop().await;
    played
}

/// Two peers of a circle: anna sends, ben serves.
struct Stage {
    output: Output,
    root: PathBuf,
    anna: Player,
    ben: Player,
    address: SocketAddr,
    stop: std::sync::Mutex<Option<oneshot::Sender<()>>>,
    serving: tokio::sync::Mutex<Option<JoinHandle<()>>>,
}

impl Stage {
    /// Makes the circle and starts ben.
    async fn set(output: Output, root: &Path) -> Result<Self, Failure> {
        let start = Instant::now();
        let (anna, ben) = (root.join("anna"), root.join("ben"));
        let (dir, out) = (
            CertsDir::new(anna.join("certs")),
            CertsDir::new(ben.join("certs")),
        );
        ca::init(&dir, "anna", &CertificateOptions::default())?;
        let code = pairing::pair(&dir, "ben", &out).await?;
        let paired = start.elapsed().as_millis();
        let (anna, ben) = (Player::load(anna)?, Player::load(ben)?);
        let peer = Peer::open(PeerOptions {
            default_role: Role::default(),
            ask_every: ASK_EVERY,
            certs: ben.home.join("certs"),
            chunks: ben.home.join("chunks"),
            received: ben.home.join("received"),
            listen: SocketAddr::new(loopback(), 0),
            inbox: InboxOptions::default(),
            store: LocalStoreOptions::default(),
            relay: RelayOptions::default(),
            discovery: Discovery::Off,
        })?;
        let address = peer.address();
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(async move {
            let ended = peer.run(async { drop(stopped.await) }).await;
            if let Err(error) = ended {
                tracing::error!(%error, "ben stopped");
            }
        });
        let stage = Self {
            output,
            root: root.to_owned(),
            anna,
            ben,
            address,
            stop: std::sync::Mutex::new(Some(stop)),
            serving: tokio::sync::Mutex::new(Some(serving)),
        };
        stage.step(1, "anna makes a circle; ben joins it by a short code");
        stage.fact(format!(
            "{}: from two empty homes to two members in {paired} ms, each with keys of its own",
            code.expose()
        ));
        stage.fact(format!("ben serves on {address}"));
        Ok(stage)
    }

    async fn play(&self, size: u64) -> Result<(), Failure> {
        let file = self.root.join("holiday.mov");
        let folder = self.root.join("project");
        material::write_file(&file, size).map_err(|e| Failure::io(&file, &e))?;
        material::write_folder(&folder).map_err(|e| Failure::io(&folder, &e))?;
        let sent = self.send_over_a_cut_link(&file, size).await?;
        self.arrived(4, &file, sent.manifest, "holiday.mov").await?;
        self.send_folder(&folder).await?;
        self.store_with_ben_for_anna(&file).await?;
        next::say(self.output);
        Ok(())
    }

    async fn send_over_a_cut_link(&self, file: &Path, size: u64) -> Result<Sent, Failure> {
        self.step(2, "anna sends a file to ben; the link is cut in the middle");
        let link = CutLink::to(self.address, size / 2)
            .await
            .map_err(|e| Failure::io(Path::new("loopback"), &e))?;
        let cut = self
            .send(
                file,
                self.to_ben().await?,
                self.anna.client(link.address(), 0)?,
                // One chunk after the other, so that those before the cut are whole.
                1,
                &Silent,
            )
            .await;
        let Err(cut) = cut else {
            return Err(Failure::new(
                ExitCode::Network,
                "the link was to be cut, and was not",
            ));
        };
        self.fact(format!(
            "{} of {} had passed when it failed: {cut}",
            Size(link.passed()),
            Size(size)
        ));
        let there = self.chunks_at_ben().await?;
        self.fact(format!(
            "ben keeps the {there} sealed chunks that he acknowledged; one is the table of files"
        ));
        self.step(3, "the same command again continues");
        let start = Instant::now();
        let bar = Told::to(Arc::new(Screen::new(self.output)), Work::Sending);
        let sent = self
            .send(
                file,
                self.to_ben().await?,
                self.anna.client(self.address, 6)?,
                JOBS,
                &bar,
            )
            .await?;
        drop(bar);
        if sent.already_chunks == 0 {
            return Err(Failure::new(
                ExitCode::Integrity,
                "nothing was there: the transfer began anew",
            ));
        }
        let seconds = start.elapsed().as_secs_f64();
        self.fact(format!(
            "{} of the {} chunks of content were there; the rest is stored durably after {seconds:.2} s",
            sent.already_chunks, sent.chunks
        ));
        Ok(sent)
    }

    async fn send_folder(&self, folder: &Path) -> Result<(), Failure> {
        self.step(
            5,
            "anna sends a folder: nested and empty folders, odd names, an empty file",
        );
        let start = Instant::now();
        let sent = self
            .send(
                folder,
                self.to_ben().await?,
                self.anna.client(self.address, 6)?,
                JOBS,
                &Silent,
            )
            .await?;
        let (entries, seconds) = (
            material::count(folder).unwrap_or(0),
            start.elapsed().as_secs_f64(),
        );
        self.fact(format!(
            "{entries} entries, {} in {} chunk, {seconds:.2} s",
            Size(sent.size),
            sent.chunks
        ));
        self.arrived(6, folder, sent.manifest, "project").await
    }

    /// Ben's inbox opens what is for him; then both sides must be equal.
    async fn arrived(
        &self,
        number: u8,
        original: &Path,
        manifest: Option<ManifestId>,
        name: &str,
    ) -> Result<(), Failure> {
        let manifest =
            manifest.ok_or_else(|| Failure::new(ExitCode::Integrity, "there is no manifest"))?;
        self.step(number, "ben's inbox verifies and opens it");
        let start = Instant::now();
        let store = self.anna.client(self.address, 6)?;
        let state = transfer::wait_until_settled(&store, manifest).await?.state;
        if state != TransferState::Opened {
            return Err(Failure::new(
                ExitCode::Integrity,
                format!("ben's inbox says {state:?}"),
            ));
        }
        let received = self.ben.home.join("received").join(name);
        self.compare(original, &received)?;
        self.fact(format!(
            "received/{name} is identical ({:.2} s)",
            start.elapsed().as_secs_f64()
        ));
        Ok(())
    }

    async fn store_with_ben_for_anna(&self, file: &Path) -> Result<(), Failure> {
        self.step(
            7,
            "ben also stores a transfer that is not for him: only anna can open it",
        );
        let sent = self
            .send(
                file,
                Vec::new(),
                self.anna.client(self.address, 6)?,
                JOBS,
                &Silent,
            )
            .await?;
        let id = sent
            .manifest
            .ok_or_else(|| Failure::new(ExitCode::Integrity, "there is no manifest"))?;
        let store = self.ben.client(self.address, 6)?;
        let listed = store
            .list_manifests(
                PageRequest {
                    after: None,
                    limit: 100,
                },
                None,
            )
            .await?;
        if !listed.items.iter().any(|info| info.id == id) {
            return Err(Failure::new(ExitCode::NotFound, "ben does not list it"));
        }
        let manifest = SignedManifest::parse(store.get_manifest(id).await?)?;
        match OpenedTransfer::open(&store, manifest, &self.ben.reader()).await {
            Err(refused @ TransferError::NotForUs { .. }) => {
                self.fact(format!(
                    "ben lists and serves {}; opening it fails: {refused}",
                    id.short()
                ));
            }
            Ok(_) => {
                return Err(Failure::new(
                    ExitCode::Integrity,
                    "ben could open what is not for him",
                ));
            }
            Err(error) => return Err(error.into()),
        }
        self.fetch_back(file, id).await
    }

    async fn fetch_back(&self, file: &Path, id: ManifestId) -> Result<(), Failure> {
        self.step(8, "anna fetches it back and compares");
        let store = self.anna.client(self.address, 6)?;
        let manifest = SignedManifest::parse(store.get_manifest(id).await?)?;
        let transfer = Arc::new(OpenedTransfer::open(&store, manifest, &self.anna.reader()).await?);
        let root = Arc::new(Received::open(&self.anna.home.join("received"))?);
        let start = Instant::now();
        let bar = Told::to(Arc::new(Screen::new(self.output)), Work::Receiving);
        let received =
            transfer::receive(&store, &transfer, &root, ReceiveOptions::default(), &bar).await?;
        drop(bar);
        let seconds = start.elapsed().as_secs_f64();
        let path = received
            .paths
            .first()
            .ok_or_else(|| Failure::new(ExitCode::Integrity, "nothing came back"))?;
        self.compare(file, path)?;
        let rate = Size::per_second(received.size, seconds);
        self.fact(format!(
            "{} in {seconds:.2} s, {rate}/s: identical",
            Size(received.size)
        ));
        Ok(())
    }

    async fn send(
        &self,
        path: &Path,
        recipients: Vec<Recipient>,
        client: PeerClient,
        jobs: usize,
        progress: &dyn Progress,
    ) -> Result<Sent, TransferError> {
        let options = SendOptions {
            recipients,
            jobs,
            ..SendOptions::default()
        };
        let sources = Sources::walk(&[path.to_owned()])?;
        transfer::send(
            &self.anna.sender(),
            sources,
            &options,
            &[Arc::new(client)],
            progress,
        )
        .await
    }

    /// Ben as a recipient: by the bundle that he signed.
    async fn to_ben(&self) -> Result<Vec<Recipient>, Failure> {
        let bundle = SignedBundle::parse(self.anna.client(self.address, 6)?.peer().await?.bundle)?;
        bundle.verify(&self.anna.circle, Timestamp::now())?;
        let bundle = bundle.payload();
        Ok(vec![Recipient {
            peer: bundle.peer_id,
            seal_key: bundle.seal_key.clone(),
        }])
    }

    async fn chunks_at_ben(&self) -> Result<usize, Failure> {
        let store = self.anna.client(self.address, 6)?;
        Ok(store
            .list_chunks(PageRequest {
                after: None,
                limit: 10_000,
            })
            .await?
            .items
            .len())
    }

    fn compare(&self, original: &Path, copy: &Path) -> Result<(), Failure> {
        match material::is_same(original, copy) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Failure::new(
                ExitCode::Integrity,
                format!("{} differs", copy.display()),
            )),
            Err(e) => Err(Failure::io(copy, &e)),
        }
    }

    async fn stop(&self) {
        let stop = self
            .stop
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .take();
        drop(stop);
        if let Some(serving) = self.serving.lock().await.take() {
            let _ = serving.await;
        }
    }

    fn step(&self, number: u8, text: &str) {
        let text = text.to_owned();
        show::tell(self.output, &Event::Step { number, text });
    }

    fn fact(&self, text: impl std::fmt::Display) {
        let text = text.to_string();
        show::tell(self.output, &Event::Fact { text });
    }
}
