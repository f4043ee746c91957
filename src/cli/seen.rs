//! Peers that are seen in the network: `peers --seen`, and known ones that are somewhere else now.

use std::{net::SocketAddr, time::Duration};

use futures::{
    FutureExt as _, StreamExt as _,
    future::select_ok,
    stream::{self},
};
use serde::Serialize;
use tokio::time::timeout;

use super::{
    Context, peers,
    report::{ExitCode, Failure},
    serve::discovery,
};
use crate::{
    client::PeerAddress,
    discover::{Browser, Discovery, PATIENCE, SeenPeer, Service, Table},
    id::{PeerId, Short as _},
    name::Escaped,
    session::Session,
    tls::CertsDir,
    trust::KnownPeer,
};

/// How many known peers are tried at once.
const TRIED_AT_ONCE: usize = 8;
/// How long one of them may take to answer.
const ANSWER: Duration = Duration::from_secs(6);

/// A peer of the network, as programs read it.
#[derive(Serialize)]
struct Shown<'a> {
    peer_id: PeerId,
    name: &'a str,
    known: bool,
    /// Where it is said to be.
    addresses: Vec<String>,
    /// Where it answered.
    reachable: Option<String>,
    /// Why it did not.
    reason: Option<String>,
}

/// Shows the known peers and who of them answers, then those that are seen and not known.
pub(super) async fn run(context: &Context) -> Result<ExitCode, Failure> {
    if discovery(context) == Discovery::Off {
        let failure = Failure::usage("looking around in the network is switched off");
        return Err(failure.hint("switch it on: colis config set discovery true"));
    }
    let nowhere = |error| {
        Failure::new(ExitCode::Network, format!("cannot look around: {error}"))
            .hint("an address that you know always works: colis peers add HOST:PORT")
    };
    let seen = Browser::start(Service::Peer, PATIENCE)
        .map_err(nowhere)?
        .all()
        .await;
    if seen.dropped() > 0 {
        let dropped = seen.dropped();
        tracing::debug!(dropped, cut = seen.cut(), "answers that say nothing usable");
    }
    if !CertsDir::new(context.home.certs()).server_cert().exists() {
        seen.peers()
            .iter()
            .for_each(|peer| show_before_joining(context, peer));
        return Ok(ExitCode::Ok);
    }
    let us = context.session()?;
    let known = us.book.peers()?;
    let answers = stream::iter(&known).map(|peer| answer(&us, peer, &seen));
    let answers: Vec<_> = answers.buffered(TRIED_AT_ONCE).collect().await;
    for (peer, answer) in known.iter().zip(answers) {
        peers::show(context, &us, peer)?;
        if let Some(answer) = answer {
            show_answer(context, peer, &seen, &answer);
        }
    }
    peers::show_roles_of_others(context, &us, &known)?;
    let ours = us.identity.caller().key_id;
    let is_new = |peer: &&SeenPeer| peer.id != ours && known.iter().all(|k| k.peer_id != peer.id);
    seen.peers()
        .iter()
        .filter(is_new)
        .for_each(|peer| show_unknown(context, &known, peer));
    Ok(ExitCode::Ok)
}

/// Where a known peer answers, or why it does not; none for ourselves. All its addresses are tried at once, so that one
/// where a liar or nobody is costs no time.
async fn answer(us: &Session, known: &KnownPeer, seen: &Table) -> Option<Result<String, String>> {
    if known.peer_id == us.identity.caller().key_id {
        return None;
    }
    let mut addresses: Vec<PeerAddress> = known
        .addresses
        .iter()
        .filter_map(|address| address.parse().ok())
        .collect();
    for address in seen.addresses_of(known.peer_id) {
        let address = PeerAddress::from(address);
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if addresses.is_empty() {
        return Some(Err(
            "no address is known, and it is not seen here".to_owned()
        ));
    }
    let expected = Some(known.peer_id);
    let tries = addresses.iter();
    let tries = tries.map(|address| us.connect_at(address, expected).boxed());
    Some(match timeout(ANSWER, select_ok(tries)).await {
        Ok(Ok((reached, _))) => Ok(reached.client.address().to_string()),
        Ok(Err(failure)) => Err(failure.to_string()),
        Err(_) => Err(format!("no answer within {} s", ANSWER.as_secs())),
    })
}

fn show_answer(context: &Context, peer: &KnownPeer, seen: &Table, answer: &Result<String, String>) {
    let line = match answer {
        Ok(address) => format!("  reachable at {}", Escaped::new(address)),
        Err(reason) => format!("  not reachable: {}", Escaped::new(reason)),
    };
    context.output.line(line);
    let shown = Shown {
        peer_id: peer.peer_id,
        name: peer.called(),
        known: true,
        addresses: shown_at(&seen.addresses_of(peer.peer_id)),
        reachable: answer.as_ref().ok().cloned(),
        reason: answer.as_ref().err().cloned(),
    };
    context.output.object("seen", &shown);
}

fn show_unknown(context: &Context, known: &[KnownPeer], peer: &SeenPeer) {
    let is_taken = known
        .iter()
        .any(|other| other.name == peer.name || other.alias.as_deref() == Some(&peer.name));
    let what = match (is_taken, peer.addresses.first()) {
        (true, _) => format!("not the {} that is known here", Escaped::new(&peer.name)),
        (false, Some(address)) => {
            format!("not known: colis peers add {}", PeerAddress::from(*address))
        }
        (false, None) => "not known".to_owned(),
    };
    show(context, peer, &what);
}

/// Without a certificate there is only one thing to do.
fn show_before_joining(context: &Context, peer: &SeenPeer) {
    let host = peer.addresses.first().map(|at| PeerAddress::from(*at));
    let host = host.map_or("HOST".to_owned(), |at| at.bare_host());
    show(context, peer, &format!("not known: colis pair {host}"));
}

fn show(context: &Context, peer: &SeenPeer, what: &str) {
    let addresses = shown_at(&peer.addresses);
    context.output.line(format!(
        "{}  {}  {}  {what}",
        Escaped::new(&peer.name),
        peer.id.short(),
        addresses.join(", ")
    ));
    let shown = Shown {
        peer_id: peer.id,
        name: &peer.name,
        known: false,
        addresses,
        reachable: None,
        reason: None,
    };
    context.output.object("seen", &shown);
}

fn shown_at(addresses: &[SocketAddr]) -> Vec<String> {
    let shown = |address: &SocketAddr| PeerAddress::from(*address).to_string();
    addresses.iter().map(shown).collect()
}
