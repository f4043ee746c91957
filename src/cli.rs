//! The command line: the only place that prints, prompts or exits.

mod args;
mod certs;
mod complete;
mod config;
mod delete;
mod demo;
mod doctor;
mod grant;
mod history;
mod inbox;
mod install;
mod list;
mod logging;
mod man;
mod menu;
mod offline;
mod output;
mod pager;
mod pair;
mod panics;
mod passphrase;
mod password;
mod peers;
mod receive;
mod report;
mod screen;
mod send;
mod serve;
mod shell;
mod show;
mod signals;
mod sources;
mod spool;
mod standard;
mod status;
mod store;
mod terminal;
mod threads;

use std::{env, future::Future, io, path::Path, process, sync::Arc, time::Duration};

use clap::error::ErrorKind;
use futures::future::LocalBoxFuture;
#[cfg(target_os = "linux")]
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::{
    fs::Mode,
    process::{Resource, Rlimit, setrlimit, umask},
};

use crate::{
    config::Config,
    crypto::password::Password,
    name::shell_word,
    sabotage,
    session::{self, ChosenBy, Event, Home, Session},
    store::LocalStore,
};
use args::{Cli, Command, Global, Settings};
use logging::Level;
use output::Output;
use report::{ExitCode, Failure};
use screen::{Gauge, Screen};
use signals::Ending;

/// What the table of descriptors is made for: the usual limit of a process.
const DESCRIPTORS: i32 = 1024;

/// How long a command that was asked to end may take for it.
const PATIENCE: Duration = Duration::from_secs(3);

/// Parses the command line, does what it says, and gives the exit code.
pub fn run() -> process::ExitCode {
    if let Some(answered) = complete::answer() {
        return answered;
    }
    keep_memory_private();
    keep_files_ours();
    signals::note_ignored();
    let cli = match Cli::read() {
        Ok(cli) => cli,
        Err(error) => return process::ExitCode::from(say_usage(&error) as u8),
    };
    let output = Output::new(&cli.global, cli.command.as_ref());
    show::brief::show_all(cli.global.full);
    make_room_for_descriptors();
    panics::watch(output);
    let code = threads::runtime().and_then(|runtime| {
        // A blocked read of standard input must not keep us from ending.
        let (handle, end) = (runtime.handle().clone(), || runtime.shutdown_background());
        panics::then(|| handle.block_on(start(cli)), end)
    });
    let code = code.unwrap_or_else(|failure| {
        failure.print(output);
        failure.code
    });
    output::finish();
    let code = output::code_with_output(code, output.only_shows);
    output::finish();
    process::ExitCode::from(panics::exit_code(code))
}

/// Says what is wrong with the command line, to programs as every other failure, or gives the help that was asked for.
fn say_usage(error: &clap::Error) -> ExitCode {
    // What follows `--` are no options.
    let mut words = env::args_os().skip(1).take_while(|word| word != "--");
    let json = words.any(|word| word == "--json");
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => give_help(error),
        // A command of commands, alone: they are listed.
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand if !json => {
            // Nowhere to say it is no reason to say something else.
            let _ = error.print();
            ExitCode::Usage
        }
        _ => {
            let failure = report::usage(error);
            failure.print(Output::of_mistake(json));
            failure.code
        }
    }
}

/// Prints the help that was asked for. A reader that goes away has read enough.
fn give_help(help: &clap::Error) -> ExitCode {
    match help.print() {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            let failure = Failure::io(Path::new("standard output"), &error);
            failure.print(Output::of_mistake(false));
            failure.code
        }
        _ => ExitCode::Ok,
    }
}

/// Keys and passwords are in our memory: a crash writes none of it to a disk, and no other process of this user reads it.
/// Where the system refuses, we still work.
fn keep_memory_private() {
    if sabotage::without("private-memory") {
        return;
    }
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    let _ = setrlimit(Resource::Core, none);
    #[cfg(target_os = "linux")]
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

/// A umask that takes their owner's rights away makes files that nobody can use again. It may take those of all others.
fn keep_files_ours() {
    let others = Mode::RWXG | Mode::RWXO;
    let asked = umask(others);
    umask(asked & others);
}

/// A store and its connections have hundreds of descriptors. Once there are threads, the system stops us for milliseconds
/// whenever their table grows, so it grows now.
fn make_room_for_descriptors() {
    let _ = rustix::io::fcntl_dupfd_cloexec(std::io::stderr(), DESCRIPTORS - 1);
}

/// What every command has.
#[derive(Clone)]
struct Context {
    global: Global,
    home: Home,
    config: Config,
    output: Output,
    /// Whether the command does nothing that needs the keys, which may be closed then.
    needs_no_keys: bool,
    /// Who shows how far a transfer is, in the background of the menu.
    gauge: Option<Arc<Gauge>>,
}

impl Context {
    fn resolve(global: &Global, output: Output) -> Result<Self, Failure> {
        let mut context = Self::without_config(global, output)?;
        context.read_config()?;
        Ok(context)
    }

    fn read_config(&mut self) -> Result<(), Failure> {
        self.config = session::load_config(&self.home)?;
        Ok(())
    }

    /// With every setting at its default.
    fn without_config(global: &Global, output: Output) -> Result<Self, Failure> {
        Ok(Self {
            global: global.clone(),
            home: Home::resolve(global.home.as_deref())?,
            config: Config::default(),
            output,
            needs_no_keys: false,
            gauge: None,
        })
    }

    /// The member that acts, which tells what happens to our output.
    fn session(&self) -> Result<Session, Failure> {
        let (home, config) = (self.home.clone(), self.config.clone());
        Ok(match self.needs_no_keys {
            true => Session::or_closed(home, config, self.screen())?,
            false => Session::with(home, config, self.screen())?,
        })
    }

    /// Where what happens is told.
    fn screen(&self) -> Arc<Screen> {
        Arc::new(Screen::new(self.output, self.gauge.clone()))
    }

    /// A command for this home, as it is typed in another terminal.
    fn command(&self, words: &str) -> String {
        match self.home.chosen_by() {
            ChosenBy::Name => {
                let home = shell_word(self.home.root());
                format!("colis --home {home} {words}")
            }
            ChosenBy::CurrentFolder | ChosenBy::Platform => format!("colis {words}"),
        }
    }

    /// Tells what became of a command.
    fn tell(&self, event: &Event) {
        show::tell(self.output, event);
    }
}

async fn start(cli: Cli) -> Result<ExitCode, Failure> {
    signals::outlive_what_tells_nothing();
    let Some(command) = cli.command else {
        return menu::run(&cli.global).await;
    };
    if command.serves() {
        let spooled = output::spool(cli.global.json);
        spooled.map_err(|e| Failure::new(ExitCode::Storage, format!("cannot start: {e}")))?;
    } else if command.transfers() {
        signals::insist(Ending::new, PATIENCE);
    }
    dispatch(&cli.global, command).await
}

/// Does one thing. The menu comes here too.
async fn dispatch(global: &Global, command: Command) -> Result<ExitCode, Failure> {
    let output = Output::new(global, Some(&command));
    // Those that serve, or go on to, log to their home too.
    if !matches!(command, Command::Serve(_) | Command::Pair(_)) {
        logging::start(global, Level::Command);
    }
    // These need no home, or one that may be wrong.
    let command = match command {
        Command::Demo(args) => return demo::run(&args, output).await,
        Command::Completions(args) => return shell::completions(&args),
        Command::Man(args) => return man::man(&args),
        Command::Config(args) => {
            let context = Context::without_config(global, output)?;
            // A peer that serves is told.
            passphrase::open_keys(&context, None).await?;
            return config::run(&context.home, output, args).await;
        }
        other => other,
    };
    let mut context = Context::without_config(global, output)?;
    let unread = match command.settings() {
        Settings::Unneeded => None,
        Settings::Wanted => context.read_config().err(),
        Settings::Needed => {
            context.read_config()?;
            None
        }
    };
    let keys = command.keys();
    context.needs_no_keys = keys.is_none();
    passphrase::open_keys(&context, keys).await?;
    let is_doctor = matches!(command, Command::Doctor(_));
    let only_looks = is_doctor || matches!(command, Command::Status(_));
    let done = execute(&context, command).await;
    // It may have made its keys. What fails changes nothing.
    if done.is_ok() && !only_looks {
        context.home.mark();
    }
    match (done, unread) {
        // That is one of the things that `doctor` looks at.
        (_, Some(failure)) if !is_doctor => Err(failure),
        (done, _) => done,
    }
}

/// Does what needs a home. What each command holds while it waits is on the heap: together, and held by the menu's own futures, it
/// would be more than a stack has.
async fn execute(context: &Context, command: Command) -> Result<ExitCode, Failure> {
    if matches!(command, Command::Peers(_) | Command::Certs(_)) {
        // Blocking and revoking must not fail for a full disk.
        LocalStore::make_room(&context.home.chunks(), &context.home.certs());
    }
    if writes_below_the_store(&command) {
        session::store::check_there(&context.home)?;
    }
    let done: LocalBoxFuture<'_, _> = match command {
        Command::Serve(args) => Box::pin(async move { serve::run(context, &args).await }),
        Command::Stop(_) => Box::pin(serve::stop(context)),
        Command::Send(args) => Box::pin(interruptible(send::send(context, args))),
        Command::Share(args) => Box::pin(interruptible(send::share(context, args))),
        Command::Grant(args) => Box::pin(interruptible(grant::run(context, args))),
        Command::Delete(args) => Box::pin(delete::run(context, args)),
        Command::Receive(args) => Box::pin(interruptible(receive::run(context, args))),
        Command::Inbox(args) => Box::pin(interruptible(inbox::run(context, args))),
        Command::Seal(args) => Box::pin(interruptible(offline::seal(context, args))),
        Command::Open(args) => Box::pin(interruptible(offline::open(context, args))),
        Command::List(args) => Box::pin(async move { list::run(context, &args).await }),
        Command::Peers(args) => Box::pin(peers::run(context, args)),
        Command::Pair(args) => Box::pin(pair::run(context, args)),
        Command::Certs(args) => Box::pin(certs::run(context, args)),
        Command::History(args) => return history::run(context, &args),
        Command::Check(args) => Box::pin(store::check(context, args)),
        Command::Gc(args) => Box::pin(store::gc(context, args)),
        Command::Status(args) => Box::pin(async move { status::run(context, &args).await }),
        Command::Doctor(args) => Box::pin(doctor::run(context, args)),
        Command::Config(args) => Box::pin(config::run(&context.home, context.output, args)),
        Command::Completions(args) => return shell::completions(&args),
        Command::Man(args) => return man::man(&args),
        Command::Demo(args) => Box::pin(async move { demo::run(&args, context.output).await }),
    };
    done.await
}

/// Moves files in the background of the menu, which ends it by dropping this. The password was asked for before.
async fn transfer(
    context: &Context,
    command: Command,
    password: Option<Password>,
) -> Result<ExitCode, Failure> {
    session::store::check_there(&context.home)?;
    let done = match command {
        Command::Send(mut args) => {
            args.seal.secret.known = password;
            Box::pin(send::send(context, args)).await
        }
        Command::Share(args) => Box::pin(send::share(context, args)).await,
        Command::Receive(mut args) => {
            args.secret.known = password;
            Box::pin(receive::run(context, args)).await
        }
        Command::Inbox(args) => Box::pin(inbox::run(context, args.knowing(password))).await,
        _ => Err(Failure::usage("it moves no files")),
    };
    if done.is_ok() {
        context.home.mark();
    }
    done
}

/// Whether it writes journals and history into the folder of the store, also where it needs no store.
fn writes_below_the_store(command: &Command) -> bool {
    use Command::{Grant, Inbox, Open, Receive, Seal, Send, Share};
    matches!(
        command,
        Send(_) | Share(_) | Grant(_) | Receive(_) | Inbox(_) | Seal(_) | Open(_)
    )
}

/// Ends on Ctrl-C, or when the system asks: what was transferred stays, and the same command continues.
async fn interruptible<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let what = "interrupted; what was transferred is kept";
    let hint = "run the same command again to continue";
    signals::interruptible(work, what, Some(hint)).await
}
