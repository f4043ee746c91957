//! `peers`: the address book.

use serde::Serialize;
use serde_json::json;

use super::{
    Context,
    args::{Peers, PeersCommand},
    report::{ExitCode, Failure},
    seen,
};
use crate::{
    id::Short as _,
    name::Escaped,
    session::{Session, meant},
    trust::{Bearer, KnownPeer, Role, Roles},
};

pub(super) async fn run(context: &Context, args: Peers) -> Result<ExitCode, Failure> {
    if args.seen {
        return seen::run(context).await;
    }
    let us = context.session()?;
    match args.command.unwrap_or(PeersCommand::List) {
        PeersCommand::List => {
            let peers = us.book.peers()?;
            peers.iter().try_for_each(|peer| show(context, &us, peer))?;
            show_roles_of_others(context, &us, &peers)?;
        }
        PeersCommand::Add { address } => {
            let reached = us.connect_new(&address).await?;
            show(context, &us, &reached.peer)?;
        }
        PeersCommand::Check { peer } => {
            let reached = us.connect(&peer).await?;
            let health = reached.client.health().await?;
            show(context, &us, &reached.peer)?;
            let version = Escaped::new(&health.version);
            context.output.line(format!(
                "{} answers: {}, colis {version}",
                reached.client.address(),
                format!("{:?}", health.status).to_lowercase()
            ));
            context.output.object("health", &health);
        }
        PeersCommand::Rename { old, new } => {
            if new == us.identity.name() {
                let failure = Failure::usage(format!("{new} is the name of this peer"));
                return Err(failure.hint("choose another name"));
            }
            let peer = us.book.rename(&old, &new)?;
            show(context, &us, &peer)?;
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
        PeersCommand::Forget { name } => {
            forget(&us, &name).await?;
            context.output.object("forgotten", &json!({"name": name}));
            context.output.talk(format!(
                "forgot {name}; its certificate still counts, see `colis certs revoke`, and so does its role"
            ));
        }
    }
    Ok(ExitCode::Ok)
}

/// What this home says of a peer, as programs read it.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    peer: &'a KnownPeer,
    role: Role,
    /// What its scripts may do.
    script_role: Role,
}

/// Forgets the peer of this name, or of this id or the beginning of one.
async fn forget(us: &Session, name: &str) -> Result<(), Failure> {
    if us.book.by_name(name)?.is_some() {
        return Ok(us.book.forget(name)?);
    }
    let id = meant::id_of(us, name).await?;
    let known = us.book.peers()?.into_iter().find(|peer| peer.peer_id == id);
    Ok(us
        .book
        .forget(known.as_ref().map_or(name, |peer| &peer.name))?)
}

/// Changes what a peer may do here.
async fn assign(
    context: &Context,
    us: &Session,
    who: &str,
    bearer: Bearer,
    role: Role,
) -> Result<(), Failure> {
    let ours = us.identity.caller().key_id;
    let is_us = who == us.identity.name() || who == ours.to_string();
    if is_us && bearer == Bearer::Peer {
        let failure = Failure::usage("the owner of a store may do everything in it");
        return Err(failure.hint("only its scripts can have another role: --script"));
    }
    let who_id = if is_us {
        ours.to_string()
    } else {
        meant::id_of(us, who).await?.to_string()
    };
    let id = us.book.set_role(&who_id, bearer, role)?;
    let script = bearer == Bearer::Script;
    let whose = if script { "scripts of " } else { "" };
    context.output.line(format!("{whose}{who}: {role}"));
    let object = json!({"peer_id": id, "role": role, "script": script});
    context.output.object("role", &object);
    context.output.talk(
        "a peer serving this home acts on it within a second, on open connections too; others decide for themselves",
    );
    Ok(())
}

/// Roles outlive the peers that they were given to.
pub(super) fn show_roles_of_others(
    context: &Context,
    us: &Session,
    known: &[KnownPeer],
) -> Result<(), Failure> {
    for (id, assigned) in us.book.roles()? {
        if !known.iter().any(|peer| peer.peer_id == id) {
            let role = assigned.role.unwrap_or(default_role(context));
            context.output.line(format!("(not known)  {id}  {role}"));
            let object = json!({"peer_id": id, "role": role, "script": false});
            context.output.object("role", &object);
        }
    }
    Ok(())
}

/// Who may do what with the store of this home.
pub(super) fn roles(context: &Context, us: &Session) -> Result<Roles, Failure> {
    let ours = us.identity.caller().key_id;
    Ok(Roles::new(ours, default_role(context), us.book.roles()?))
}

fn default_role(context: &Context) -> Role {
    context.config.default_role.unwrap_or_default()
}

pub(super) fn show(context: &Context, us: &Session, peer: &KnownPeer) -> Result<(), Failure> {
    let roles = roles(context, us)?;
    let role = roles.of(peer.peer_id, Bearer::Peer);
    let script_role = roles.of(peer.peer_id, Bearer::Script);
    let scripts = match script_role == role {
        true => String::new(),
        false => format!(", its scripts {script_role}"),
    };
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
    let shown = peer.shown();
    let name = Escaped::new(&shown);
    context.output.line(format!(
        "{name}{me}  {}  {role}{scripts}  {}  seen {}",
        peer.peer_id.short(),
        Escaped::new(&addresses),
        peer.seen
    ));
    let shown = Shown {
        peer,
        role,
        script_role,
    };
    context.output.object("peer", &shown);
    Ok(())
}
