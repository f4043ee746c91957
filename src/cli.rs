//! The command line: the only place that prints, prompts or exits.

mod args;
mod certs;
mod connect;
mod demo;
mod doctor;
mod home;
mod list;
mod output;
mod password;
mod peers;
mod progress;
mod receive;
mod report;
mod send;
mod serve;
mod status;
mod store;

use std::{future::Future, process};

use clap::{Parser as _, error::ErrorKind};
use tracing_subscriber::EnvFilter;

use crate::config::Config;
use args::{Cli, Command, Global};
use home::Home;
use output::Output;
use report::{ExitCode, Failure};

/// Parses the command line, does what it says, and gives the exit code.
pub fn run() -> process::ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let wanted = matches!(
                error.kind(),
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
            );
            // Nowhere to say it is no reason to say something else.
            let _ = error.print();
            return process::ExitCode::from(if wanted {
                ExitCode::Ok as u8
            } else {
                ExitCode::Usage as u8
            });
        }
    };
    start_logging(&cli.global, &cli.command);
    let json = cli.global.json;
    let code = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => {
            let done = runtime.block_on(dispatch(cli));
            // A blocked read of standard input must not keep us from ending.
            runtime.shutdown_background();
            done
        }
        Err(e) => Err(Failure::new(
            ExitCode::Storage,
            format!("cannot start: {e}"),
        )),
    };
    let code = code.unwrap_or_else(|failure| {
        failure.print(json);
        failure.code
    });
    process::ExitCode::from(code as u8)
}

/// What every command has.
struct Context {
    home: Home,
    config: Config,
    output: Output,
}

async fn dispatch(cli: Cli) -> Result<ExitCode, Failure> {
    let Cli { global, command } = cli;
    let output = Output {
        json: global.json,
        quiet: global.quiet,
    };
    if let Command::Demo(args) = &command {
        return demo::run(args, output).await;
    }
    let home = Home::resolve(global.home.as_deref())?;
    let config = match Config::load(&home.config()) {
        // That is one of the things that it looks at.
        Err(_) if matches!(command, Command::Doctor(_)) => Config::default(),
        loaded => loaded?,
    };
    let context = Context {
        home,
        config,
        output,
    };
    match command {
        Command::Serve(args) => serve::run(&context, &args).await,
        Command::Send(args) => interruptible(send::send(&context, args)).await,
        Command::Share(args) => interruptible(send::share(&context, args)).await,
        Command::Receive(args) => interruptible(receive::run(&context, args)).await,
        Command::List(args) => list::run(&context, &args).await,
        Command::Peers(args) => peers::run(&context, args).await,
        Command::Certs(args) => certs::run(&context, args).await,
        Command::Check(args) => store::check(&context, &args).await,
        Command::Gc => store::gc(&context).await,
        Command::Status => status::run(&context).await,
        Command::Doctor(args) => doctor::run(&context, &args).await,
        Command::Demo(args) => demo::run(&args, output).await,
    }
}

/// Ends on Ctrl-C: what was transferred stays, and the same command continues.
async fn interruptible(
    work: impl Future<Output = Result<ExitCode, Failure>>,
) -> Result<ExitCode, Failure> {
    tokio::select! {
        done = work => done,
        _ = tokio::signal::ctrl_c() => {
            let failure = Failure::new(ExitCode::Interrupted, "interrupted; what was transferred is kept");
            Err(failure.hint("run the same command again to continue"))
        }
    }
}

fn start_logging(global: &Global, command: &Command) {
    let level = match (global.quiet, global.verbose) {
        (true, _) => "error",
        (_, 0) if matches!(command, Command::Serve(_)) => "warn,colis=info",
        (_, 0) => "warn",
        (_, 1) => "info,colis=debug",
        _ => "debug,colis=trace",
    };
    let filter = EnvFilter::try_from_env("COLIS_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false);
    // A program that embeds us may have its own.
    let _ = log.with_ansi(false).try_init();
}
