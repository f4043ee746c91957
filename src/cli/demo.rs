//! `demo`: the main job with two throwaway peers on this machine, step by step, with figures.

mod folder;
mod link;
mod material;
mod next;
mod pairing;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use super::{
    args::Demo,
    output::Output,
    report::{ExitCode, Failure},
    screen::Screen,
    show, signals,
};
use crate::{
    address::loopback,
    client::ClientOptions,
    config::{
        Config,
        units::{Size, SizeText},
    },
    id::{ManifestId, Short as _},
    peer::{Peer, PeerHandle},
    session::{
        Error, Event, Home, ReceiveRequest, Reporter, SendRequest, Sent, ServeRequest, Session,
        Silent, certs, peer_options,
    },
    store::{PageRequest, Store as _, TransferState},
    transfer::{self, TransferError},
};
use folder::DemoFolder;
use link::CutLink;

/// A file of a few chunks at least: some must have passed when the link is cut.
const SMALLEST: u64 = 8 << 20;

pub(super) async fn run(args: &Demo, output: Output) -> Result<ExitCode, Failure> {
    let size = args.size.parse::<SizeText>()?.bytes();
    if size < SMALLEST {
        return Err(
            Failure::usage("a smaller file has no middle to cut").hint("--size 8MiB or more")
        );
    }
    let folder = DemoFolder::make()?;
    let root = folder.path().to_owned();
    let played = perform(output, &root, size).await;
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
async fn perform(output: Output, root: &Path, size: u64) -> Result<(), Failure> {
    let mut stage = None;
    let play = async {
        let stage: &Stage = stage.insert(Stage::set(output, root).await?);
        stage.play(size).await
    };
    let played = signals::interruptible(play, "interrupted", None).await;
    if let Some(stage) = stage {
        stage.serving.shutdown().await;
    }
    played
}

/// Two peers of a circle: anna sends, ben serves.
struct Stage {
    output: Output,
    root: PathBuf,
    anna: Session,
    ben: Session,
    serving: PeerHandle,
}

impl Stage {
    /// Makes the circle and starts ben.
    async fn set(output: Output, root: &Path) -> Result<Self, Failure> {
        let start = Instant::now();
        let home = |name| Home::resolve(Some(&root.join(name)));
        let (anna, ben) = (home("anna")?, home("ben")?);
        let config = Config {
            listen: Some((loopback(), 0).into()),
            discovery: Some(false),
            ..Config::default()
        };
        certs::init(&anna, "anna", Vec::new())?;
        let code = pairing::pair(&anna, "ben", &ben, &config).await?;
        let paired = start.elapsed().as_millis();
        let request = ServeRequest::default();
        let peer = Peer::open(peer_options(&ben, &config, &request))?;
        let stage = Self {
            output,
            root: root.to_owned(),
            anna: Session::with(anna, config.clone(), Arc::new(Silent))?,
            ben: Session::with(ben, config, Arc::new(Silent))?,
            serving: peer.handle(),
        };
        tokio::spawn(async move {
            if let Err(error) = peer.run(std::future::pending()).await {
                tracing::error!(%error, "ben stopped");
            }
        });
        stage.step(1, "anna makes a circle; ben joins it by a short code");
        stage.fact(format!(
            "{code}: from two empty homes to two members in {paired} ms, each with keys of its own"
        ));
        stage.fact(format!("ben serves on {}", stage.serving.address()));
        Ok(stage)
    }

    async fn play(&self, size: u64) -> Result<(), Failure> {
        let file = self.root.join("holiday.mov");
        let folder = self.root.join("project");
        material::write_file(&file, size).map_err(|e| Failure::io(&file, &e))?;
        material::write_folder(&folder).map_err(|e| Failure::io(&folder, &e))?;
        self.send_over_a_cut_link(&file, size).await?;
        let sent = self.continue_sending(&file).await?;
        self.arrived(4, &file, &sent, "holiday.mov").await?;
        self.send_folder(&folder).await?;
        let id = self.store_with_ben_for_anna(&file).await?;
        self.fetch_back(&file, id).await?;
        next::say(self.output);
        Ok(())
    }

    async fn send_over_a_cut_link(&self, file: &Path, size: u64) -> Result<(), Failure> {
        self.step(2, "anna sends a file to ben; the link is cut in the middle");
        let link = CutLink::to(self.serving.address(), size / 2)
            .await
            .map_err(|e| Failure::io(Path::new("loopback"), &e))?;
        let once = ClientOptions {
            retries: 0,
            ..ClientOptions::default()
        };
        let anna = self.anna_telling(Silent)?.with_client_options(once);
        let mut request = SendRequest::to([link.address().to_string()]);
        // One chunk after the other, so that those before the cut are whole.
        request.sealing.jobs = Some(1);
        let Err(cut) = send(&anna, file, &request).await else {
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
        Ok(())
    }

    async fn continue_sending(&self, file: &Path) -> Result<Sent, Failure> {
        self.step(3, "the same command again continues");
        let sent = send(&self.anna_telling(bars(self.output))?, file, &self.to_ben()).await?;
        if sent.already_chunks == 0 {
            return Err(not_as_it_must_be(
                "nothing was there: the transfer began anew",
            ));
        }
        self.fact(format!(
            "{} of the {} chunks of content were there; the rest is stored durably after {:.2} s",
            sent.already_chunks, sent.chunks, sent.seconds
        ));
        Ok(sent)
    }

    async fn send_folder(&self, folder: &Path) -> Result<(), Failure> {
        self.step(
            5,
            "anna sends a folder: nested and empty folders, odd names, an empty file",
        );
        let (request, sources) = (self.to_ben(), self.anna.walk([folder])?);
        let entries = self.anna.plan(&sources, &request).await?.entries;
        let sent = self.anna.send(sources, &request).await?;
        self.fact(format!(
            "{entries} entries, {} in {} chunk, {:.2} s",
            Size(sent.bytes),
            sent.chunks,
            sent.seconds
        ));
        self.arrived(6, folder, &sent, "project").await
    }

    /// Ben's inbox opens what is for him; then both sides must be equal.
    async fn arrived(
        &self,
        number: u8,
        original: &Path,
        sent: &Sent,
        name: &str,
    ) -> Result<(), Failure> {
        self.step(number, "ben's inbox verifies and opens it");
        let start = Instant::now();
        let ben = self.anna.connect("ben").await?;
        let settled = transfer::wait_until_settled(&ben.client, manifest_of(sent)?).await?;
        if settled.state != TransferState::Opened {
            let state = settled.state;
            return Err(not_as_it_must_be(format!("ben's inbox says {state:?}")));
        }
        compare(
            original,
            &self.ben.home().received(self.ben.config()).join(name),
        )?;
        self.fact(format!(
            "received/{name} is identical ({:.2} s)",
            start.elapsed().as_secs_f64()
        ));
        Ok(())
    }

    async fn store_with_ben_for_anna(&self, file: &Path) -> Result<ManifestId, Failure> {
        self.step(
            7,
            "ben also stores a transfer that is not for him: only anna can open it",
        );
        let mut request = SendRequest::to(["anna"]);
        request.via = vec!["ben".to_owned()];
        let id = manifest_of(&send(&self.anna, file, &request).await?)?;
        let listed = self.ben.list_of(None).await?;
        if !listed.iter().any(|row| row.info.id == id) {
            return Err(Failure::new(ExitCode::NotFound, "ben does not list it"));
        }
        let request = ReceiveRequest::named([id.to_string()]);
        match self.ben.receive(request).await {
            Err(Error::Transfer(refused @ TransferError::NotForUs { .. })) => {
                let id = id.short();
                self.fact(format!(
                    "ben lists and serves {id}; opening it fails: {refused}"
                ));
            }
            Ok(_) => return Err(not_as_it_must_be("ben could open what is not for him")),
            Err(error) => return Err(error.into()),
        }
        Ok(id)
    }

    async fn fetch_back(&self, file: &Path, id: ManifestId) -> Result<(), Failure> {
        self.step(8, "anna fetches it back and compares");
        let mut request = ReceiveRequest::named([id.to_string()]);
        request.from = vec!["ben".to_owned()];
        let start = Instant::now();
        let outcome = self
            .anna_telling(bars(self.output))?
            .receive(request)
            .await?;
        let seconds = start.elapsed().as_secs_f64();
        let back = outcome.received.first();
        let back = back.and_then(|back| Some((back.bytes, back.paths.first()?)));
        let (bytes, path) = back.ok_or_else(|| not_as_it_must_be("nothing came back"))?;
        compare(file, Path::new(path))?;
        let rate = Size::per_second(bytes, seconds);
        self.fact(format!(
            "{} in {seconds:.2} s, {rate}/s: identical",
            Size(bytes)
        ));
        Ok(())
    }

    /// Anna, who tells what happens. Else she says nothing.
    fn anna_telling(&self, reporter: impl Reporter + 'static) -> Result<Session, Error> {
        let (home, config) = (self.anna.home().clone(), self.anna.config().clone());
        Session::with(home, config, Arc::new(reporter))
    }

    /// Ben at his own address, whatever link the book has.
    fn to_ben(&self) -> SendRequest {
        SendRequest::to([self.serving.address().to_string()])
    }

    async fn chunks_at_ben(&self) -> Result<usize, Failure> {
        let address = self.serving.address().to_string();
        let ben = self.anna.connect(&address).await?;
        let page = PageRequest {
            after: None,
            limit: 10_000,
        };
        Ok(ben.client.list_chunks(page).await?.items.len())
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

/// Of what happens, only how far a transfer is.
fn bars(output: Output) -> impl Fn(&Event) + Send + Sync {
    let screen = Screen::new(output, None);
    move |event| {
        if let Event::Progress(_) = event {
            screen.tell(event);
        }
    }
}

async fn send(from: &Session, path: &Path, request: &SendRequest) -> Result<Sent, Error> {
    from.send(from.walk([path])?, request).await
}

fn manifest_of(sent: &Sent) -> Result<ManifestId, Failure> {
    let missing = || not_as_it_must_be("there is no manifest");
    sent.manifest.ok_or_else(missing)
}

fn compare(original: &Path, copy: &Path) -> Result<(), Failure> {
    match material::is_same(original, copy) {
        Ok(true) => Ok(()),
        Ok(false) => Err(not_as_it_must_be(format!("{} differs", copy.display()))),
        Err(e) => Err(Failure::io(copy, &e)),
    }
}

fn not_as_it_must_be(what: impl std::fmt::Display) -> Failure {
    Failure::new(ExitCode::Integrity, what)
}
