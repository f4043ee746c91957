//! The peer that serves beside the menu.

use std::{net::SocketAddr, time::Duration};

use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::{
    Menu, announce,
    ask::{self, Stop},
    words,
};
use crate::{
    address::PeerAddress,
    cli::{
        Context,
        args::{Command, Serve},
        report::Failure,
        serve, terminal,
    },
    pair::PAIRING_PORT,
    peer::{Peer, PeerError},
    server,
    session::care,
    store::{LocalStore, StoreError},
};

/// Requests in work get this long to finish when the menu ends; what is cut continues at the next try.
const DRAIN: Duration = Duration::from_secs(3);

/// Who serves this home.
pub(super) enum Serving {
    /// Nobody.
    No,
    /// Another process. These follow what arrives there.
    Elsewhere(JoinSet<()>),
    /// This one.
    Here {
        /// Ends it.
        stop: CancellationToken,
        /// Its task.
        task: JoinHandle<()>,
    },
}

impl Serving {
    /// Stops what was started here, and gives whether there was something.
    pub(super) async fn stop(self) -> bool {
        match self {
            Self::No => false,
            Self::Elsewhere(mut following) => {
                following.shutdown().await;
                false
            }
            Self::Here { stop, task } => {
                stop.cancel();
                tokio::time::timeout(DRAIN, task).await.is_ok()
            }
        }
    }
}

/// Starts the peer, or finds out that it runs.
pub(super) async fn start(menu: &Menu) -> Result<Serving, Stop> {
    serve::raise_descriptor_limit();
    let context = menu.context()?;
    let Command::Serve(mut args) = words(&["serve"]).command()? else {
        return Ok(Serving::No);
    };
    loop {
        let options = serve::options(&context, &args)?;
        let wanted = options.listen;
        match Peer::open(options) {
            Ok(peer) => return run(menu, &context, &args, peer),
            Err(PeerError::Store(error @ StoreError::Locked { .. })) => {
                return elsewhere(menu, &context, error);
            }
            Err(PeerError::Bind(error)) => {
                terminal::say(&format!("{error}"));
                match another_port(
                    wanted,
                    "Another port, until this menu ends (8 Settings, listen: for good)",
                )
                .await
                {
                    Ok(address) => args.listen = Some(address),
                    Err(Stop::Back | Stop::Ended | Stop::Interrupted) => {
                        terminal::say("nothing is served: others cannot send to this machine now");
                        return Ok(Serving::No);
                    }
                    Err(stop) => return Err(stop),
                }
            }
            Err(error) => return Err(Failure::from(error).into()),
        }
    }
}

fn run(menu: &Menu, context: &Context, args: &Serve, peer: Peer) -> Result<Serving, Stop> {
    // A peer without a log is better than none.
    let kept = menu
        .log
        .keep(&context.home.logs(), serve::log_days(context));
    kept.unwrap_or_else(|failure| failure.print(context.output));
    serve::take_settings(context, args, &peer, &menu.log)?;
    let received = serve::options(context, args)?.received;
    let (name, address) = (peer.identity().name(), peer.address());
    terminal::say(&format!(
        "{name} serves on {}; what arrives goes to {}",
        PeerAddress::from(address),
        received.display()
    ));
    let notices = care::notices(&context.home, &context.config);
    for notice in &notices {
        terminal::say(&announce::warning(notice));
    }
    tokio::spawn(announce::run(peer.arrivals(), menu.jobs.clone()));
    tokio::spawn(announce::warn(peer.notices(), notices));
    tokio::spawn(announce::follow(peer.handle(), menu.jobs.clone()));
    let stop = CancellationToken::new();
    let stopped = stop.clone().cancelled_owned();
    let task = tokio::spawn(async move {
        if let Err(error) = peer.run(stopped).await {
            terminal::announce(&format!("this peer serves no more: {error}"));
        }
    });
    Ok(Serving::Here { stop, task })
}

fn elsewhere(menu: &Menu, context: &Context, error: StoreError) -> Result<Serving, Stop> {
    match LocalStore::serving_address(&context.home.chunks()) {
        Some(address) => {
            terminal::say(&format!(
                "another colis serves this home on {address}: the menu uses that one"
            ));
            let (session, jobs) = (context.session()?, menu.jobs.clone());
            let mut following = JoinSet::new();
            following.spawn(announce::run(session.arrivals(None), jobs.clone()));
            following.spawn(announce::follow_elsewhere(session, jobs));
            Ok(Serving::Elsewhere(following))
        }
        None => Err(Failure::from(error).into()),
    }
}

/// Asks for another port, if that of `listen` cannot be had.
pub(super) async fn other_port(
    listen: SocketAddr,
    prompt: &str,
) -> Result<Option<SocketAddr>, Stop> {
    match server::bind(listen) {
        Ok(_) => Ok(None),
        Err(error) => {
            terminal::say(&error.to_string());
            another_port(listen, prompt).await.map(Some)
        }
    }
}

/// Asks for a port that is free.
async fn another_port(taken: SocketAddr, prompt: &str) -> Result<SocketAddr, Stop> {
    let is_free = |port| server::bind(at_port(taken, port)).is_ok();
    let port = port(prompt, taken, next_free(taken.port(), is_free)).await?;
    Ok(at_port(taken, port))
}

/// The first port after `taken` that can be had. A code is shown at the port for pairing, whenever one is.
fn next_free(taken: u16, is_free: impl Fn(u16) -> bool) -> Option<u16> {
    let mut candidates = (taken..=u16::MAX).skip(1).take(100);
    candidates.find(|port| *port != PAIRING_PORT && is_free(*port))
}

/// The same address, with its scope, and another port.
fn at_port(mut address: SocketAddr, port: u16) -> SocketAddr {
    address.set_port(port);
    address
}

/// Asks for a port of `address` that can be had.
async fn port(prompt: &str, address: SocketAddr, default: Option<u16>) -> Result<u16, Stop> {
    let check = move |text: &str| {
        let port = text.trim().parse::<u16>().ok().filter(|port| *port > 0);
        let port = port.ok_or("a port is a number from 1 to 65535")?;
        match server::bind(at_port(address, port)) {
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    };
    let default = default.map(|port| port.to_string());
    let text = ask::text(prompt, default, Box::new(check)).await?;
    text.trim()
        .parse()
        .map_err(|_| Stop::Failed(Failure::usage("not a port")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_of_pairing_is_not_proposed() {
        assert_eq!(next_free(8443, |_| true), Some(8445));
        assert_eq!(next_free(8443, |port| port > 8446), Some(8447));
        assert_eq!(next_free(8445, |_| true), Some(8446));
        assert_eq!(next_free(u16::MAX, |_| true), None);
    }
}
