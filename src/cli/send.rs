//! `send` and `share`.

use std::{sync::Arc, time::Instant};

use serde::Serialize;

use super::{
    Context,
    args::{Seal, Send, Share},
    connect::{Us, jobs, pace, paced},
    history,
    output::count,
    password::Purpose,
    progress::progress,
    report::{ExitCode, Failure},
    sources::{say_left_out, say_what},
};
use crate::{
    config::units::{DurationText, Size, SizeText},
    id::{ManifestId, Short as _, TransferId},
    manifest::{DEFAULT_CHUNK_SIZE, Timestamp},
    peer::{Direction, HistoryEntry},
    store::{OfferAnswer, Store, TransferState},
    transfer::{self, Recipient, SendOptions, Sent, Sources},
    trust::KnownPeer,
};

/// What `--json` tells of a transfer that was sent.
#[derive(Serialize)]
struct SentObject {
    transfer: TransferId,
    manifest: Option<ManifestId>,
    bytes: u64,
    chunks: u64,
    already_chunks: u64,
    answers: Vec<OfferAnswer>,
    seconds: f64,
    state: Option<TransferState>,
}

pub(super) async fn send(context: &Context, args: Send) -> Result<ExitCode, Failure> {
    if args.to.is_empty() && args.via.is_empty() {
        let failure = Failure::usage("nobody to send to");
        return Err(failure.hint("say who: --to NAME or --to HOST:PORT; see `colis peers`"));
    }
    if args.to.is_empty() && !args.seal.wants_password() {
        return Err(Failure::usage("nobody but us could open it")
            .hint("say who: --to PEER, or use --password"));
    }
    // What is typed wrong is said before anybody is asked.
    let sources = args.seal.sources()?;
    let mut options = args.seal.options(context, jobs(context, args.jobs)).await?;
    let pace = pace(context, args.limit.as_deref())?;
    let us = Us::load(context)?;
    let (recipients, mut stores) = meet(context, &us, &args).await?;
    let names: Vec<_> = recipients.iter().map(|r| us.name_of(r.peer)).collect();
    let to = in_words(&names, &args.via);
    options.recipients = recipients;
    if args.keep && !args.dry_run {
        stores.push(us.own_store(context)?.as_store());
    }
    let stores = stores.into_iter();
    let stores = stores.map(|store| paced(store, pace.as_ref())).collect();
    if args.dry_run {
        say_what(context.output, &sources, &options, &to);
        return Ok(ExitCode::Ok);
    }
    let way = Way {
        options,
        stores,
        to,
        peers: if names.is_empty() { args.via } else { names },
        wait: args.wait,
    };
    deliver(context, &us, sources, &way).await
}

/// Connects to whoever is needed: who can open it, and where it is stored.
async fn meet(
    context: &Context,
    us: &Us,
    args: &Send,
) -> Result<(Vec<Recipient>, Vec<Arc<dyn Store>>), Failure> {
    let mut known = Vec::new();
    let mut stores: Vec<Arc<dyn Store>> = Vec::new();
    for text in &args.to {
        if args.via.is_empty() {
            let reached = us.reach(context, text).await?;
            known.push(reached.peer);
            stores.push(Arc::new(reached.client));
        } else {
            known.push(us.recipient(context, text).await?);
        }
    }
    for text in &args.via {
        stores.push(Arc::new(us.reach(context, text).await?.client));
    }
    // Each of those that we met may have known of a revocation that we did not know of.
    for peer in &known {
        us.check_not_revoked(peer)?;
    }
    Ok((known.into_iter().map(recipient).collect(), stores))
}

fn recipient(peer: KnownPeer) -> Recipient {
    Recipient {
        peer: peer.peer_id,
        seal_key: peer.seal_key,
    }
}

/// `to ben, carl via relay`.
fn in_words(names: &[String], via: &[String]) -> String {
    let mut words = Vec::new();
    if !names.is_empty() {
        words.push(format!("to {}", names.join(", ")));
    }
    if !via.is_empty() {
        words.push(format!("via {}", via.join(", ")));
    }
    words.join(" ")
}

pub(super) async fn share(context: &Context, args: Share) -> Result<ExitCode, Failure> {
    let sources = args.seal.sources()?;
    let mut options = args.seal.options(context, jobs(context, None)).await?;
    let us = Us::load(context)?;
    if args.to.is_empty() {
        let known = us.book.peers()?.into_iter();
        let trusted = known.filter(|peer| us.check_not_revoked(peer).is_ok());
        options.recipients.extend(trusted.map(recipient));
    } else {
        for text in &args.to {
            let known = us.recipient(context, text).await?;
            options.recipients.push(recipient(known));
        }
    }
    let stores = vec![us.own_store(context)?.as_store()];
    if args.seal.expires.is_none() {
        options.lifetime = None;
    }
    let way = Way {
        options,
        stores,
        to: "to the local store".to_owned(),
        peers: Vec::new(),
        wait: false,
    };
    deliver(context, &us, sources, &way).await
}

/// Where a transfer goes, and how.
struct Way {
    options: SendOptions,
    stores: Vec<Arc<dyn Store>>,
    /// Whom it goes to, in words.
    to: String,
    /// And by their names.
    peers: Vec<String>,
    wait: bool,
}

async fn deliver(
    context: &Context,
    us: &Us,
    sources: Sources,
    way: &Way,
) -> Result<ExitCode, Failure> {
    let output = context.output;
    say_left_out(output, &sources);
    let names = sources.top_names();
    let start = Instant::now();
    let bar = progress(output, "sending");
    let sender = us.sender(context);
    let sent = transfer::send(&sender, sources, &way.options, &way.stores, &*bar).await;
    drop(bar);
    let sent = sent?;
    let seconds = start.elapsed().as_secs_f64();
    let state = match sent.manifest {
        Some(manifest) if way.wait => Some(wait_for_all(&way.stores, manifest).await?),
        _ => None,
    };
    remember(context, &sent, &way.peers, seconds, names);
    report(context, &sent, &way.to, seconds, state);
    Ok(match state {
        Some(TransferState::Refused | TransferState::Expired) => ExitCode::Partial,
        _ => ExitCode::Ok,
    })
}

fn remember(context: &Context, sent: &Sent, peers: &[String], seconds: f64, names: Vec<String>) {
    let Some(manifest) = sent.manifest else {
        return;
    };
    let entry = HistoryEntry {
        at: Timestamp::now(),
        direction: Direction::Sent,
        transfer: sent.transfer_id,
        manifest,
        peers: peers.to_vec(),
        bytes: sent.size,
        seconds: Some(seconds),
        names,
    };
    history::note(context, &entry);
}

/// The last state that all reach.
async fn wait_for_all(
    stores: &[Arc<dyn Store>],
    manifest: ManifestId,
) -> Result<TransferState, Failure> {
    let mut state = TransferState::Opened;
    for store in stores {
        let settled = transfer::wait_until_settled(&**store, manifest)
            .await?
            .state;
        if settled != TransferState::Opened {
            state = settled;
        }
    }
    Ok(state)
}

fn report(context: &Context, sent: &Sent, to: &str, seconds: f64, state: Option<TransferState>) {
    let output = context.output;
    output.object(
        "sent",
        &SentObject {
            transfer: sent.transfer_id,
            manifest: sent.manifest,
            bytes: sent.size,
            chunks: sent.chunks,
            already_chunks: sent.already_chunks,
            answers: sent.answers.clone(),
            seconds,
            state,
        },
    );
    let Some(manifest) = sent.manifest else {
        return output.line(format!("received before, nothing sent {to}"));
    };
    let rate = Size::per_second(sent.size, seconds);
    output.line(format!(
        "{manifest}  {} in {} {to}",
        Size(sent.size),
        count(sent.chunks, "chunk", "chunks")
    ));
    let resumed = match sent.already_chunks {
        0 => String::new(),
        already => format!(", {already} of {} chunks were there", sent.chunks),
    };
    let state = state.map_or(String::new(), |state| {
        format!(", {state:?} there").to_lowercase()
    });
    output.talk(format!(
        "stored durably in {seconds:.2} s, {rate}/s{resumed}{state} (transfer {})",
        sent.transfer_id.short()
    ));
}

impl Seal {
    pub(super) fn wants_password(&self) -> bool {
        self.password || self.secret.is_given()
    }

    /// How it is sealed; to whom is for the caller to say.
    pub(super) async fn options(
        &self,
        context: &Context,
        jobs: usize,
    ) -> Result<SendOptions, Failure> {
        let defaults = SendOptions::default();
        let asked = self
            .chunk_size
            .as_deref()
            .map(str::parse::<SizeText>)
            .transpose()?;
        let chunk_size = asked
            .or(context.config.chunk_size)
            .map_or(u64::from(DEFAULT_CHUNK_SIZE), SizeText::bytes);
        let bad_size = || {
            Failure::usage("a chunk has 64KiB to 64MiB, a power of two")
                .hint("for instance --chunk-size 4MiB")
        };
        let chunk_size = u32::try_from(chunk_size).map_err(|_| bad_size())?;
        crate::manifest::check_chunk_size(chunk_size).map_err(|_| bad_size())?;
        let lifetime = match self.expires.as_deref() {
            None => defaults.lifetime,
            Some("never") => None,
            Some(text) => Some(text.parse::<DurationText>()?.duration()),
        };
        if lifetime.is_some_and(|lifetime| lifetime.is_zero()) {
            let failure = Failure::usage("--expires 0 would be gone at once");
            return Err(failure.hint("leave it out for 30 days, or give a time: --expires 7d"));
        }
        let password = if self.wants_password() {
            Some(self.secret.read(Purpose::Seal).await?)
        } else {
            None
        };
        Ok(SendOptions {
            recipients: Vec::new(),
            password,
            chunk_size,
            lifetime,
            jobs,
        })
    }
}
