//! What the circle's machine asks before it signs or revokes: it may have been restored from an older copy, and the members know
//! more.

use std::{sync::Arc, time::Duration};

use futures::{
    FutureExt as _, StreamExt as _,
    stream::{self, FuturesUnordered},
};
use serde_json::json;
use tokio::time::timeout;

use super::{
    Context,
    report::{ExitCode, Failure},
};
use crate::{
    address::first_answer,
    client::{PeerAddress, PeerClient},
    id::PeerId,
    manifest::Signer as _,
    name::Escaped,
    pair::NameCheck,
    session::Session,
    tls::{CertsDir, CircleHandle, ca},
    trust::KnownPeer,
};

/// How many known peers are asked at once.
const AT_ONCE: usize = 16;
/// How long one of them may take.
const ANSWER: Duration = Duration::from_secs(3);
/// How long all of them may.
const ALL: Duration = Duration::from_secs(10);

/// The known peers that have answered. Their revocation lists were taken over.
pub(super) struct Asked {
    reached: Vec<(String, PeerClient)>,
    circle: Option<CircleHandle>,
    dir: CertsDir,
}

impl Asked {
    /// Asks every known peer for its revocation list, side by side. Says so if none has answered.
    pub(super) async fn known_peers(context: &Context) -> Self {
        let dir = CertsDir::new(context.home.certs());
        let us = match context.session() {
            Ok(us) => us,
            Err(failure) => {
                let (_, why, _) = failure.into_parts();
                context.output.warn(format!("no member was asked: {why}"));
                return Self {
                    reached: Vec::new(),
                    circle: None,
                    dir,
                };
            }
        };
        let (me, circle) = (us.identity.peer_id(), us.circle.now());
        let mut known = us.book.peers().unwrap_or_default();
        known.retain(|peer| {
            let is_other = peer.peer_id != me && !peer.addresses.is_empty();
            is_other && !circle.is_key_revoked(&peer.peer_id)
        });
        let mut reached = Vec::new();
        let asking = async {
            let asked = known.iter().map(|peer| ask(&us, peer).boxed());
            let asked: Vec<_> = asked.collect();
            let mut asked = stream::iter(asked).buffer_unordered(AT_ONCE);
            while let Some(answer) = asked.next().await {
                reached.extend(answer);
            }
        };
        let _ = timeout(ALL, asking).await;
        say(context, known.len(), reached.len());
        let circle = Some(us.circle.clone());
        Self {
            reached,
            circle,
            dir,
        }
    }

    /// Fails if a member knows a peer of this name that is not revoked.
    pub(super) async fn check_free(&self, name: &str) -> Result<(), Failure> {
        let Some((by, id)) = self.holder(name).await else {
            return Ok(());
        };
        let what =
            format!("{by} knows a {name} of this circle, which is on no record here: peer {id}");
        let hint =
            format!("choose another name; or revoke that one for good: colis certs revoke {id}");
        Err(Failure::new(ExitCode::Trust, what).hint(hint))
    }

    /// Who of those that were reached knows a peer of this name which is not revoked, and its id. What they say is believed as
    /// far as the circle has signed it.
    async fn holder(&self, name: &str) -> Option<(String, PeerId)> {
        let asked = self.reached.iter().map(|(by, client)| async move {
            let named = timeout(ANSWER, client.named(name)).await.ok()?.ok()??;
            let id = ca::holder_of(&self.dir, name, &named)?;
            Some((Escaped::new(by).to_string(), id))
        });
        let circle = self.circle.as_ref();
        let is_live = |id: &PeerId| circle.is_none_or(|circle| !circle.now().is_key_revoked(id));
        let mut asked: FuturesUnordered<_> = asked.collect();
        while let Some(answer) = asked.next().await {
            if let Some(held) = answer.filter(|(_, id)| is_live(id)) {
                return Some(held);
            }
        }
        None
    }

    /// The same question, for a machine that will come later.
    pub(super) fn into_check(self) -> NameCheck {
        let asked = Arc::new(self);
        Arc::new(move |name| {
            let asked = asked.clone();
            async move { asked.check_free(&name).await.is_err() }.boxed()
        })
    }
}

fn say(context: &Context, known: usize, reached: usize) {
    if known == 0 {
        return;
    }
    let object = json!({"known": known, "reached": reached});
    context.output.object("asked", &object);
    if reached == 0 {
        context.output.warn(format!(
            "none of the {known} peers that are known here has answered: what was revoked or issued after this home was copied, if it \
             was restored, is not known here"
        ));
    }
}

async fn ask(us: &Session, peer: &KnownPeer) -> Option<(String, PeerClient)> {
    let addresses = peer.addresses.iter();
    let addresses: Vec<PeerAddress> = addresses.filter_map(|a| a.parse().ok()).collect();
    let tries = addresses.iter();
    let tries = tries.map(|address| us.connect_at(address, Some(peer.peer_id)).boxed());
    let tries: Vec<_> = tries.collect();
    match timeout(ANSWER, first_answer(tries)).await {
        Ok(Ok(reached)) => Some((reached.peer.shown(), reached.client.with_retries(0))),
        Ok(Err(_)) | Err(_) => None,
    }
}
