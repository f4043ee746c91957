//! `peers`: the address book.

use serde_json::json;

use super::{
    Context,
    args::{Peers, PeersCommand},
    connect::Us,
    report::{ExitCode, Failure},
};
use crate::{id::Short as _, name::Escaped, trust::KnownPeer};

pub(super) async fn run(context: &Context, args: Peers) -> Result<ExitCode, Failure> {
    let us = Us::load(context)?;
    match args.command.unwrap_or(PeersCommand::List) {
        PeersCommand::List => {
            us.book
                .peers()?
                .iter()
                .for_each(|peer| show(context, &us, peer));
        }
        PeersCommand::Add { address } => {
            let reached = us.reach(context, &address).await?;
            show(context, &us, &reached.peer);
        }
        PeersCommand::Check { peer } => {
            let reached = us.reach(context, &peer).await?;
            let health = reached.client.health().await?;
            show(context, &us, &reached.peer);
            let version = Escaped::new(&health.version);
            context.output.line(format!(
                "{} answers: {}, colis {version}",
                reached.client.address(),
                format!("{:?}", health.status).to_lowercase()
            ));
            context.output.object("health", &health);
        }
        PeersCommand::Forget { name } => {
            us.book.forget(&name)?;
            context.output.object("forgotten", &json!({"name": name}));
            context.output.talk(format!(
                "forgot {name}; its certificate still counts, see `colis certs revoke`"
            ));
        }
    }
    Ok(ExitCode::Ok)
}

fn show(context: &Context, us: &Us, peer: &KnownPeer) {
    let addresses = if peer.addresses.is_empty() {
        "no address yet".to_owned()
    } else {
        peer.addresses.join(", ")
    };
    let me = if peer.name == us.identity.name() {
        " (this peer)"
    } else {
        ""
    };
    let name = Escaped::new(&peer.name);
    context.output.line(format!(
        "{name}{me}  {}  {}  seen {}",
        peer.peer_id.short(),
        Escaped::new(&addresses),
        peer.seen
    ));
    context.output.object("peer", peer);
}
