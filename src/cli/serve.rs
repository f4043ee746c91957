//! `serve`: runs this peer until it is told to stop.

mod arriving;

use std::{
    path::{Path, PathBuf},
    sync::OnceLock,
};

use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::sync::broadcast::Receiver;

use super::{
    Context,
    args::{InboxArg, Serve},
    install,
    logging::{self, LateFile},
    output::Output,
    report::{ExitCode, Failure},
    show,
    signals::{self, Ending},
};
use crate::{
    config::units::{DurationText, SizeText},
    id::Short as _,
    name::Escaped,
    peer::{Arrivals, DecidedBy, InboxMode, Notice, Peer, PeerOptions},
    session::{
        Arrived, Event, LOG_DAYS, ServeRequest, ServedSettings, ServingPeer, care, peer_options,
    },
};

pub(super) async fn run(context: &Context, args: &Serve) -> Result<ExitCode, Failure> {
    if args.install {
        return install::run(context, args);
    }
    if args.uninstall {
        return install::remove(context, args);
    }
    let log = LateFile::default();
    logging::start_serving(&context.global, log.clone());
    run_with(context, args, &log).await
}

/// Serves, with a log in the home folder too, unless that is switched off.
pub(super) async fn run_with(
    context: &Context,
    args: &Serve,
    log: &LateFile,
) -> Result<ExitCode, Failure> {
    context.home.check_there()?;
    context.home.check_request(&args.request()?)?;
    keep_log(log, &context.home.logs(), log_days(context));
    raise_descriptor_limit();
    // Before anybody is told that this peer serves: it may be told to stop from then on.
    let ending = Ending::new().map_err(|e| signals::unheard(&e))?;
    let options = options(context, args)?;
    let mode = options.inbox.policy.default.mode;
    let peer = Peer::open(options)?;
    announce(context, &peer, mode);
    let showing = tokio::spawn(show_arrivals(context.output, peer.arrivals()));
    let watching = tokio::spawn(arriving::show(context.output, peer.handle()));
    let telling = tokio::spawn(tell_notices(context.output, peer.notices()));
    // Without systemd there is nobody to tell.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    take_settings(context, args, &peer, log)?;
    let reload = peer.reloader();
    let why = OnceLock::new();
    let stop = async {
        // What it says is in the log.
        let asked = ending.comes_to_a_peer(|| drop(reload())).await;
        let _ = why.set(asked);
    };
    let served = peer.run(stop).await;
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    showing.abort();
    watching.abort();
    telling.abort();
    tracing::info!(
        why = match (why.get(), &served) {
            (Some(asked), _) => asked.name(),
            (None, Ok(())) => "its owner stopped it",
            (None, Err(_)) => "it failed",
        },
        "stopped"
    );
    log.finish();
    served?;
    context
        .output
        .talk("stopped; everything acknowledged is on disk");
    Ok(ExitCode::Ok)
}

/// Ends the peer that serves this home.
pub(super) async fn stop(context: &Context) -> Result<ExitCode, Failure> {
    let stopped = context.session()?.stop_serving().await?;
    context.tell(&Event::Stopped(stopped));
    Ok(ExitCode::Ok)
}

/// Tells the log, programs and people that `peer` takes requests now.
fn announce(context: &Context, peer: &Peer, mode: InboxMode) {
    let serving = ServingPeer::of(peer, mode);
    let (name, id, address) = (&serving.name, serving.peer_id, serving.address);
    let inbox = format!("{mode:?}").to_lowercase();
    let (version, home) = (env!("CARGO_PKG_VERSION"), context.home.root());
    let home = home.to_string_lossy();
    tracing::info!(version, name, id = id.short(), home = %Escaped::new(&home), %address, inbox, "started");
    let notices = care::settings(&context.home, &context.config);
    for notice in &notices {
        tracing::warn!(code = &*notice.code, "{}", Escaped::new(&notice.text));
    }
    context.tell(&Event::Serving(serving.clone()));
    for notice in notices {
        context.tell(&Event::Notice(notice));
    }
}

/// The peer reads the settings again when it is asked to: by a signal, or by its owner.
pub(super) fn take_settings(
    context: &Context,
    args: &Serve,
    peer: &Peer,
    log: &LateFile,
) -> Result<(), Failure> {
    let (log, folder) = (log.clone(), context.home.logs());
    let environment = |name: &str| std::env::var_os(name);
    let keep = move |days| keep_log(&log, &folder, days);
    let request = args.request()?;
    Ok(ServedSettings::attach(
        peer,
        &context.home,
        request,
        environment,
        keep,
    )?)
}

/// Days of logs to keep; 0 writes none.
pub(super) fn log_days(context: &Context) -> usize {
    context.config.log_days.unwrap_or(LOG_DAYS)
}

/// A disk that takes no log keeps nobody from being served.
fn keep_log(log: &LateFile, folder: &Path, days: usize) {
    if let Err(failure) = log.keep(folder, days) {
        let (_, what, _) = failure.into_parts();
        tracing::warn!(cause = %what, "no log is written to the home folder");
    }
}

async fn tell_notices(output: Output, mut notices: Receiver<Notice>) {
    while let Ok(notice) = notices.recv().await {
        show::tell(output, &Event::Notice(notice));
    }
}

async fn show_arrivals(output: Output, mut arrivals: Arrivals) {
    while let Ok(arrival) = arrivals.recv().await {
        // What the owner decides is told where that is done.
        if arrival.decided == DecidedBy::Inbox {
            show::tell(output, &Event::Arrival(Box::new(Arrived::from(&arrival))));
        }
    }
}

pub(super) fn options(context: &Context, args: &Serve) -> Result<PeerOptions, Failure> {
    let request = args.request()?;
    Ok(peer_options(&context.home, &context.config, &request))
}

impl Serve {
    /// What it says against the settings.
    fn request(&self) -> Result<ServeRequest, Failure> {
        let size = self.auto_up_to.as_deref().map(str::parse::<SizeText>);
        let keep = self.keep_opened.as_deref().map(str::parse::<DurationText>);
        Ok(ServeRequest {
            listen: self.listen,
            inbox: self.inbox.map(InboxArg::setting),
            received: self.received.as_deref().map(absolute).transpose()?,
            auto_up_to: size.transpose()?.map(SizeText::bytes),
            keep_opened: keep.transpose()?.map(DurationText::duration),
            keep_exec: self.keep_exec,
        })
    }
}

/// The folder as it is meant on a command line, in which a relative path counts from the current folder.
fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path).map_err(|e| Failure::io(path, &e))
}

/// Many connections need many descriptors; the system lets us have up to its hard limit.
pub(super) fn raise_descriptor_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    if let (Some(now), Some(most)) = (limit.current, limit.maximum)
        && now < most
    {
        limit.current = Some(most.min(65_536).max(now));
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::warn!(%error, "the limit of open files stays at {now}");
        }
    }
}
