//! Who can open what is sent, and where it is stored.

use std::sync::Arc;

use futures::future::{join_all, try_join_all};

use crate::{
    cli::{
        Context,
        args::Send,
        connect::{Reached, Us},
        report::{ExitCode, Failure},
        whom::each_once,
    },
    id::PeerId,
    manifest::Signer as _,
    store::Store,
    trust::KnownPeer,
};

/// Where a transfer is stored.
pub(super) struct Stop {
    /// Who that is, in words.
    pub(super) name: String,
    pub(super) store: Arc<dyn Store>,
}

impl Stop {
    pub(super) fn new(name: &str, store: Arc<dyn Store>) -> Self {
        let name = name.to_owned();
        Self { name, store }
    }
}

/// Who can open it, where it goes, and who did not answer.
#[derive(Default)]
pub(super) struct Met {
    pub(super) known: Vec<KnownPeer>,
    pub(super) stops: Vec<Stop>,
    /// The peers that they are.
    carriers: Vec<PeerId>,
    pub(super) missed: Vec<(String, Failure)>,
}

/// Connects to all that are needed, side by side: one that is off costs the others no time of their own. Of several recipients
/// those that are known need not answer now.
pub(super) async fn meet(context: &Context, us: &Us, args: &Send) -> Result<Met, Failure> {
    let mut met = match args.via.is_empty() {
        true => meet_recipients(context, us, &args.to).await?,
        false => Met {
            known: try_join_all(args.to.iter().map(|text| us.recipient(context, text))).await?,
            ..Met::default()
        },
    };
    met.known = each_once(met.known, |peer| peer.peer_id);
    let ours = us.identity.peer_id();
    if args.wait && met.known.iter().any(|peer| peer.peer_id == ours) {
        let failure = Failure::usage("nothing from this peer to itself is opened on arrival");
        return Err(failure.hint("leave out --wait; open it with: colis receive"));
    }
    let carriers = args.via.iter().map(|text| us.reach(context, text));
    for (text, reached) in args.via.iter().zip(try_join_all(carriers).await?) {
        let id = reached.peer.peer_id;
        if args.wait && !met.known.iter().any(|known| known.peer_id == id) {
            let failure = Failure::usage(format!("{text} is not told when it is opened"));
            return Err(failure.hint("leave out --wait; the recipient collects it when it is on"));
        }
        met.add_stop(text, reached);
    }
    if met.stops.is_empty()
        && let Some((_, failure)) = met.missed.pop()
    {
        return Err(failure);
    }
    // Each of those that we met may have known of a revocation that we did not know of.
    for peer in &met.known {
        us.check_not_revoked(peer)?;
    }
    Ok(met)
}

async fn meet_recipients(context: &Context, us: &Us, to: &[String]) -> Result<Met, Failure> {
    let mut met = Met::default();
    let reached = join_all(to.iter().map(|text| us.reach(context, text))).await;
    for (text, reached) in to.iter().zip(reached) {
        match reached {
            Ok(reached) => {
                met.known.push(reached.peer.clone());
                met.add_stop(text, reached);
            }
            // Nobody answers there, or another machine: a known peer is sealed for by its key all the same.
            Err(failure)
                if matches!(failure.code, ExitCode::Network | ExitCode::Trust)
                    && us.knows(text)? =>
            {
                let known = us.recipient(context, text).await?;
                if met.known.iter().all(|met| met.peer_id != known.peer_id) {
                    met.known.push(known);
                    met.missed.push((text.clone(), failure));
                }
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok(met)
}

impl Met {
    /// Stores it there too, unless it does already under another name.
    fn add_stop(&mut self, text: &str, reached: Reached) {
        let id = reached.peer.peer_id;
        if !self.carriers.contains(&id) {
            self.carriers.push(id);
            let name = text.trim();
            self.stops.push(Stop::new(name, Arc::new(reached.client)));
        }
    }
}
