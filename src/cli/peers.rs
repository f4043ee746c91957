//! `peers`: the address book.

use super::{
    Context,
    args::{Peers, PeersCommand},
    report::{ExitCode, Failure},
    show::{self, table::Listing},
};
use crate::{
    session::{self, Event, PeerRow, Session},
    trust::{Bearer, Role},
};

pub(super) async fn run(context: &Context, args: Peers) -> Result<ExitCode, Failure> {
    if args.seen {
        return look_around(context).await;
    }
    let us = context.session()?;
    let tell = |peer: PeerRow| context.tell(&Event::Peer(Box::new(peer)));
    match args.command.unwrap_or(PeersCommand::List) {
        PeersCommand::List => {
            let listing = Listing::open(context.output);
            us.peer_rows()?.into_iter().for_each(tell);
            let roles = us.roles_of_unknown()?.into_iter().map(Event::Role);
            let rights = us.rights_of_unknown()?.into_iter().map(Event::Rights);
            roles.chain(rights).for_each(|event| context.tell(&event));
            listing.close();
        }
        PeersCommand::Add { address } => tell(us.add_peer(&address).await?),
        PeersCommand::Check { peer } => {
            let checked = us.check_peer(&peer).await?;
            tell(checked.peer);
            context.tell(&Event::Health(Box::new(checked.answer)));
        }
        PeersCommand::Rename { old, new } => {
            tell(us.rename_peer(&old, &new)?);
            context
                .output
                .talk("only here: its certificate says the same as before");
        }
        PeersCommand::Role { peer, role, script } => {
            let bearer = if script { Bearer::Script } else { Bearer::Peer };
            assign(context, &us, &peer, bearer, role.role()).await?;
        }
        PeersCommand::Block { peer } => {
            assign(context, &us, &peer, Bearer::Peer, Role::None).await?;
        }
        PeersCommand::Allow { peer, right: None } => {
            assign(context, &us, &peer, Bearer::Peer, Role::Member).await?;
        }
        PeersCommand::Allow {
            peer,
            right: Some(right),
        } => {
            context.tell(&Event::Rights(us.allow(&peer, &right).await?));
        }
        PeersCommand::Deny { peer, right } => {
            context.tell(&Event::Rights(us.deny(&peer, &right).await?));
        }
        PeersCommand::Forget { name } => {
            us.forget_peer(&name).await?;
            context.tell(&Event::Forgotten { name });
        }
    }
    Ok(ExitCode::Ok)
}

/// Changes what a peer may do here.
async fn assign(
    context: &Context,
    us: &Session,
    who: &str,
    bearer: Bearer,
    role: Role,
) -> Result<(), Failure> {
    context.tell(&Event::Role(us.set_role(who, bearer, role).await?));
    context.output.talk(
        "a peer serving this home acts on it at once, on open connections too; others decide for themselves",
    );
    Ok(())
}

/// Shows the known peers and who of them answers, then those that are seen and not known.
async fn look_around(context: &Context) -> Result<ExitCode, Failure> {
    if !context.home.dir().server_cert().exists() {
        let seen = session::look_around(&context.config).await?;
        seen.into_iter()
            .for_each(|row| show::peers::before_joining(context.output, row));
        return Ok(ExitCode::Ok);
    }
    let around = context.session()?.look_around().await?;
    let listing = Listing::open(context.output);
    for known in around.known {
        context.tell(&Event::Peer(Box::new(known.peer)));
        if let Some(seen) = known.seen {
            context.tell(&Event::Seen(seen));
        }
    }
    let roles = around.roles.into_iter().map(Event::Role);
    let unknown = around.unknown.into_iter().map(Event::Seen);
    roles.chain(unknown).for_each(|event| context.tell(&event));
    listing.close();
    Ok(ExitCode::Ok)
}
