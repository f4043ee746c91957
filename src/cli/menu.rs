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
mod delete;
mod desktop;
mod entries;
mod fetch;
mod first_run;
mod jobs;
mod listing;
mod more;
mod paths;
mod peers;
mod plain;
mod revoke;
mod send;
mod settings;
mod unfinished;
mod words;

use std::{future::Future, mem, sync::Arc, time::Duration};

use futures::future::LocalBoxFuture;
use tokio::signal::unix::SignalKind;

use super::{
    Context,
    args::{Command, Global, Pair, Secret},
    dispatch, interruptible,
    logging::{self, LateFile},
    output::Output,
    pair::{self, Source},
    passphrase,
    password::Purpose,
    report::{ExitCode, Failure},
    signals::{self, Ending, Heard},
    terminal::{self, Paged, Shows},
};
use crate::{
    crypto::password::Password,
    session::pair::{JoinRequest, take_back_pending},
    tls::Scope,
};
use ask::Stop;
use background::Serving;
use entries::Entry;
use jobs::Jobs;
use words::{Words, words};

/// How long a pairing of another process is waited for that may be at its last step.
const PAIRING_ENDS: Duration = Duration::from_secs(2);
/// How long the menu may take to end when the system asks: a terminal that takes nothing must not keep it.
const PATIENCE: Duration = Duration::from_secs(10);

/// Said after Ctrl-C.
const BACK: &str = "interrupted: back to the menu";

/// The menu of one home folder.
struct Menu {
    global: Global,
    log: LateFile,
    jobs: Arc<Jobs>,
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
    let menu = Menu {
        global: global.clone(),
        log,
        jobs: Arc::default(),
    };
    let jobs = menu.jobs.clone();
    terminal::hold(move |most| jobs.lines(most));
    let mut serving = Serving::No;
    let done = tokio::select! {
        biased;
        _ = ending.comes() => Ok(ExitCode::Ok),
        done = Box::pin(menu.open(&mut serving)) => done,
    };
    terminal::restore();
    // What was transferred is kept.
    let _ = tokio::time::timeout(PATIENCE / 2, menu.jobs.end()).await;
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
            Err(Stop::Back | Stop::Ended | Stop::Interrupted | Stop::Stale | Stop::Anew(_)) => {
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
            self.open_keys().await?;
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

    /// Asks for the passphrase of the keys, if they are under one. Without it there is no menu.
    async fn open_keys(&self) -> Result<(), Stop> {
        let opened = passphrase::open_keys(&self.context()?, Some(Scope::Circle)).await;
        opened.map_err(|failure| match failure.is_left() {
            true => Stop::Closed,
            false => Stop::Failed(failure),
        })
    }

    /// Does one thing after the other. Returns the command before which the peer is to end; none at the end of the menu.
    async fn choose_entries(&self) -> Result<Option<Words>, Stop> {
        let mut last = None;
        loop {
            let chosen = match entries::choose(self, last).await {
                // Lines are printed anew by an empty one.
                Err(Stop::Back) if terminal::shows() == Shows::Lines => continue,
                Err(Stop::Interrupted | Stop::Ended | Stop::Back) => Entry::Quit,
                chosen => chosen?,
            };
            if chosen == Entry::Quit {
                match jobs::may_end(self, "Quit").await {
                    Ok(true) => return Ok(None),
                    Err(Stop::Closed) => return Err(Stop::Closed),
                    Err(Stop::Interrupted) => terminal::say(BACK),
                    _ => {}
                }
                continue;
            }
            last = Some(chosen);
            match entries::enter(self, chosen).await {
                Ok(()) | Err(Stop::Back | Stop::Ended | Stop::Stale) => {}
                Err(Stop::Interrupted) => terminal::say(BACK),
                Err(Stop::Failed(failure)) => failure.print(self.output()),
                Err(Stop::Anew(words)) => return Ok(Some(words)),
                Err(Stop::Closed) => return Err(Stop::Closed),
            }
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
        let certs = context.home.dir();
        match certs.ca_key().exists() {
            true => Ok(take_back_pending(&context.home, &*context.screen(), PAIRING_ENDS).await?),
            false => Ok(()),
        }
    }

    /// Asks for a password.
    async fn password(&self, purpose: Purpose) -> Result<Password, Stop> {
        match Secret::asked().read(purpose).await {
            Err(failure) if failure.code.is_interruption() => Err(Stop::Interrupted),
            read => Ok(read?),
        }
    }

    /// Runs a command as the command line would.
    async fn run(&self, words: Words) -> Result<(), Stop> {
        let command = words.command()?;
        // Not inside of what calls it: the stack has no room for that.
        let done: LocalBoxFuture<'_, _> = Box::pin(dispatch(&self.global, command));
        self.watch(done).await.map(drop)
    }

    /// Runs a command that shows something, page by page if it is long.
    async fn show(&self, words: Words) -> Result<(), Stop> {
        let pages = Paged::new();
        let shown = self.run(words).await;
        ask::interact(move || pages.finish().map(Ok)).await?;
        shown
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
            command => Box::pin(dispatch(&self.global, command)).await.map(drop),
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
