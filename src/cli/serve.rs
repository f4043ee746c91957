//! `serve`: runs this peer until it is told to stop.

use std::{net::SocketAddr, time::Duration};

use rustix::process::{Resource, getrlimit, setrlimit};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use super::{
    Context,
    args::{InboxArg, Serve},
    connect::store_options,
    report::{ExitCode, Failure},
};
use crate::{
    config::{InboxSetting, units::DurationText},
    manifest::Signer as _,
    peer::{InboxMode, InboxOptions, Peer, PeerOptions},
    transfer::ReceiveOptions,
    wire::DEFAULT_PORT,
};

pub(super) async fn run(context: &Context, args: &Serve) -> Result<ExitCode, Failure> {
    raise_descriptor_limit();
    let options = options(context, args)?;
    let mode = options.inbox.mode;
    let peer = Peer::open(options)?;
    let (name, id, address) = (
        peer.identity().name().to_owned(),
        peer.identity().peer_id(),
        peer.address(),
    );
    let inbox = format!("{mode:?}").to_lowercase();
    context.output.object(
        "serving",
        &json!({"name": name, "peer_id": id, "address": address, "inbox": inbox}),
    );
    context.output.talk(format!(
        "{name} serves on {address}, inbox {inbox}; peer {id}"
    ));
    let stop =
        stop_signal().map_err(|e| Failure::new(ExitCode::Storage, format!("signals: {e}")))?;
    peer.run(stop).await?;
    context
        .output
        .talk("stopped; everything acknowledged is on disk");
    Ok(ExitCode::Ok)
}

fn options(context: &Context, args: &Serve) -> Result<PeerOptions, Failure> {
    let (home, config) = (&context.home, &context.config);
    let mode = match (args.inbox, config.inbox) {
        (Some(InboxArg::Off), _) | (None, Some(InboxSetting::Off)) => InboxMode::Off,
        _ => InboxMode::Auto,
    };
    let asked = args
        .keep_opened
        .as_deref()
        .map(str::parse::<DurationText>)
        .transpose()?;
    let keep_opened = asked
        .or(config.keep_opened)
        .map_or(Duration::from_secs(24 * 3600), DurationText::duration);
    let jobs = config.jobs.unwrap_or(ReceiveOptions::default().jobs);
    let receive = ReceiveOptions {
        jobs,
        keep_exec: args.keep_exec,
    };
    Ok(PeerOptions {
        certs: home.certs(),
        chunks: home.chunks(),
        received: home.received(),
        listen: args
            .listen
            .or(config.listen)
            .unwrap_or(SocketAddr::from(([0, 0, 0, 0], DEFAULT_PORT))),
        inbox: InboxOptions {
            mode,
            keep_opened,
            receive,
        },
        store: store_options(context),
    })
}

/// Ready when the person or the system asks to stop.
fn stop_signal() -> std::io::Result<impl Future<Output = ()> + Send> {
    let (mut interrupt, mut terminate) = (
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
    );
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    })
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
