//! The menu: what `colis` alone opens on a terminal.
//!
//! It asks, puts the answers into the words of a command, and runs it as the command line would. Beside it, in this
//! process, the peer serves.

mod announce;
mod arrivals;
mod ask;
mod background;
mod choose;
mod circle;
mod desktop;
mod fetch;
mod first_run;
mod listing;
mod paths;
mod peers;
mod plain;
mod send;
mod settings;
mod words;

use std::{future::Future, mem, time::Duration};

use tokio::signal::unix::SignalKind;

use super::{
    Context,
    args::{Command, Global, Pair},
    dispatch, interruptible,
    logging::{self, LateFile},
    output::Output,
    pair::{self, Source},
    report::{ExitCode, Failure},
    signals::{self, Ending, Heard},
    terminal,
};
use crate::{
    session::pair::{JoinRequest, take_back_pending},
    tls::CertsDir,
};
use ask::Stop;
use background::Serving;
use words::{Words, words};

/// How long a pairing of another process is waited for that may be at its last step.
const PAIRING_ENDS: Duration = Duration::from_secs(2);
/// How long the menu may take to end when the system asks: a terminal that takes nothing must not keep it.
const PATIENCE: Duration = Duration::from_secs(10);

/// The entries of the menu, in their order.
const ENTRIES: [(&str, Entry); 10] = [
    ("Send a file or folder to a peer", Entry::Send),
    ("Fetch from a peer", Entry::Fetch),
    ("List local transfers and chunks", Entry::ListOurs),
    ("List a peer's", Entry::ListTheirs),
    ("Quit", Entry::Quit),
    ("Peers: add, check, rename, forget", Entry::Peers),
    ("Arrivals that wait for a yes", Entry::Arrivals),
    ("Settings", Entry::Settings),
    ("Status", Entry::Status),
    ("Pair: let a new machine join by a code", Entry::Pair),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    Send,
    Fetch,
    ListOurs,
    ListTheirs,
    Quit,
    Peers,
    Arrivals,
    Settings,
    Status,
    Pair,
}

/// The menu of one home folder.
struct Menu {
    global: Global,
    log: LateFile,
}

/// Opens the menu, until the person or the system ends it.
pub(super) async fn run(global: &Global) -> Result<ExitCode, Failure> {
    if !terminal::is_there() || global.json {
        return Err(Failure::usage("the menu needs a terminal").hint(
            "say what to do: colis send PATH... --to PEER, colis receive, colis list, colis peers, colis serve, \
             colis status; all commands: colis --help",
        ));
    }
    let log = LateFile::default();
    logging::start_beside_prompts(global, log.clone());
    // Prompts answer Ctrl-C themselves: it must not end the process.
    let _interrupt = Heard::new(SignalKind::interrupt()).map_err(|e| signals::unheard(&e))?;
    let ending = Ending::by_the_system().map_err(|e| signals::unheard(&e))?;
    signals::insist(Ending::by_the_system, PATIENCE);
    let (menu, mut serving) = (
        Menu {
            global: global.clone(),
            log,
        },
        Serving::No,
    );
    let done = tokio::select! {
        biased;
        _ = ending.comes() => Ok(ExitCode::Ok),
        done = menu.open(&mut serving) => done,
    };
    terminal::restore();
    terminal::say_waiting();
    menu.take_back_pending().await?;
    let stopped = serving.stop().await;
    menu.log.finish();
    if stopped {
        terminal::say("stopped; everything acknowledged is on disk");
    }
    done
}

impl Menu {
    async fn open(&self, serving: &mut Serving) -> Result<ExitCode, Failure> {
        match self.live(serving).await {
            Ok(()) | Err(Stop::Closed) => Ok(ExitCode::Ok),
            Err(Stop::Back | Stop::Ended | Stop::Interrupted | Stop::Anew(_)) => {
                terminal::say("stopped before everything was made: `colis` asks for the rest");
                Ok(ExitCode::Interrupted)
            }
            Err(Stop::Failed(failure)) => Err(failure),
        }
    }

    /// What is missing is made, the peer starts, and then one thing after the other is done.
    async fn live(&self, serving: &mut Serving) -> Result<(), Stop> {
        loop {
            if self.context()?.home.is_new() {
                first_run::run(self).await?;
            }
            *serving = background::start(self).await?;
            let Some(words) = self.choose_entries().await? else {
                return Ok(());
            };
            mem::replace(serving, Serving::No).stop().await;
            match self.anew(words).await {
                Err(Stop::Failed(failure)) => failure.print(self.output()),
                Err(Stop::Closed) => return Err(Stop::Closed),
                _ => {}
            }
        }
    }

    /// Does one thing after the other. Returns the command before which the peer is to end; none at the end of the menu.
    async fn choose_entries(&self) -> Result<Option<Words>, Stop> {
        loop {
            let labels = ENTRIES.map(|(label, _)| label.to_owned()).to_vec();
            let chosen = match choose::one("What next?", labels).await {
                Err(Stop::Interrupted | Stop::Ended) => Entry::Quit,
                Err(Stop::Back) => continue,
                chosen => ENTRIES[chosen?].1,
            };
            if chosen == Entry::Quit {
                return Ok(None);
            }
            match self.enter(chosen).await {
                Ok(()) | Err(Stop::Back | Stop::Ended) => {}
                Err(Stop::Interrupted) => terminal::say("interrupted: back to the menu"),
                Err(Stop::Failed(failure)) => failure.print(self.output()),
                Err(Stop::Anew(words)) => return Ok(Some(words)),
                Err(Stop::Closed) => return Err(Stop::Closed),
            }
        }
    }

    async fn enter(&self, entry: Entry) -> Result<(), Stop> {
        match entry {
            Entry::Send => send::run(self).await,
            Entry::Fetch => fetch::run(self).await,
            Entry::ListOurs => listing::ours(self).await,
            Entry::ListTheirs => listing::theirs(self).await,
            Entry::Peers => peers::run(self).await,
            Entry::Arrivals => arrivals::run(self).await,
            Entry::Settings => settings::run(self).await,
            Entry::Status => self.run(words(&["status"])).await,
            Entry::Pair => self.pair().await,
            Entry::Quit => Ok(()),
        }
    }

    fn output(&self) -> Output {
        Output::new(&self.global, None)
    }

    fn context(&self) -> Result<Context, Failure> {
        Context::resolve(&self.global, self.output())
    }

    /// A pairing that the system's signal has ended with the menu leaves no member behind.
    async fn take_back_pending(&self) -> Result<(), Failure> {
        let context = self.context()?;
        let certs = CertsDir::new(context.home.certs());
        match certs.ca_key().exists() {
            true => Ok(take_back_pending(&context.home, &*context.screen(), PAIRING_ENDS).await?),
            false => Ok(()),
        }
    }

    /// Runs a command as the command line would.
    async fn run(&self, words: Words) -> Result<(), Stop> {
        let command = words.command()?;
        self.watch(dispatch(&self.global, command)).await.map(drop)
    }

    /// Shows a code, which Ctrl-C ends in its own words.
    async fn pair(&self) -> Result<(), Stop> {
        let Command::Pair(args) = words(&["pair"]).command()? else {
            return Ok(());
        };
        match pair::invite(&self.context()?, &args, None).await {
            Err(failure) if failure.code.is_interruption() => Err(Stop::Interrupted),
            paired => Ok(paired.map(drop)?),
        }
    }

    /// Leaves the circle, or joins another one in its place; what serves is started after it.
    async fn anew(&self, words: Words) -> Result<(), Stop> {
        let done = match words.command()? {
            Command::Pair(Pair {
                host: Some(host), ..
            }) => {
                let request = JoinRequest::of(host.parse().map_err(Failure::from)?);
                let joined = pair::join(&self.context()?, request, Source::Person).await;
                joined.map(drop)
            }
            command => dispatch(&self.global, command).await.map(drop),
        };
        match done {
            Err(failure) if failure.code.is_interruption() => Err(Stop::Interrupted),
            done => Ok(done?),
        }
    }

    /// Does what Ctrl-C may end.
    async fn watch<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Stop> {
        match interruptible(work).await {
            Err(failure) if failure.code.is_interruption() => {
                terminal::say("what was transferred is kept: choose the same again to continue");
                Err(Stop::Interrupted)
            }
            done => Ok(done?),
        }
    }
}
