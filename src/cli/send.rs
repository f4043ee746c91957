//! `send` and `share`.

use std::{sync::Arc, time::Instant};

use serde::Serialize;

use super::{
    Context,
    args::{Seal, Send, Share},
    connect::{Us, jobs, paced},
    history,
    password::Purpose,
    progress::progress,
    report::{ExitCode, Failure},
    sources::say_left_out,
};
use crate::{
    config::units::{DurationText, Size, SizeText},
    id::{ManifestId, Short as _, TransferId},
    manifest::{DEFAULT_CHUNK_SIZE, Timestamp},
    peer::{Direction, HistoryEntry},
    store::{OfferAnswer, Store, TransferState},
    transfer::{self, Recipient, SendOptions, Sent},
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
    let us = Us::load(context)?;
    let mut recipients = Vec::new();
    let mut stores: Vec<Arc<dyn Store>> = Vec::new();
    for text in &args.to {
        if args.via.is_empty() {
            let reached = us.reach(context, text).await?;
            recipients.push(Recipient {
                peer: reached.peer.peer_id,
                seal_key: reached.peer.seal_key,
            });
            stores.push(Arc::new(reached.client));
        } else {
            recipients.push(us.recipient(context, text).await?);
        }
    }
    for text in &args.via {
        stores.push(Arc::new(us.reach(context, text).await?.client));
    }
    if args.keep && !args.dry_run {
        stores.push(us.own_store(context)?.as_store());
    }
    let stores = paced(context, args.limit.as_deref(), stores)?;
    let options = args
        .seal
        .options(context, recipients, jobs(context, args.jobs))
        .await?;
    let to = if args.to.is_empty() {
        args.via.join(", ")
    } else {
        args.to.join(", ")
    };
    if args.dry_run {
        return args.seal.say_what(context.output, &options, &to);
    }
    deliver(context, &us, args.seal, &options, &stores, &to, args.wait).await
}

pub(super) async fn share(context: &Context, args: Share) -> Result<ExitCode, Failure> {
    let us = Us::load(context)?;
    let mut recipients = Vec::new();
    if args.to.is_empty() {
        let known = us.book.peers()?;
        recipients.extend(known.into_iter().map(|peer| Recipient {
            peer: peer.peer_id,
            seal_key: peer.seal_key,
        }));
    } else {
        for text in &args.to {
            recipients.push(us.recipient(context, text).await?);
        }
    }
    let stores = [us.own_store(context)?.as_store()];
    let mut options = args
        .seal
        .options(context, recipients, jobs(context, None))
        .await?;
    if args.seal.expires.is_none() {
        options.lifetime = None;
    }
    deliver(
        context,
        &us,
        args.seal,
        &options,
        &stores,
        "the local store",
        false,
    )
    .await
}

async fn deliver(
    context: &Context,
    us: &Us,
    seal: Seal,
    options: &SendOptions,
    stores: &[Arc<dyn Store>],
    to: &str,
    wait: bool,
) -> Result<ExitCode, Failure> {
    let output = context.output;
    let sources = seal.sources()?;
    say_left_out(output, &sources);
    let names = sources.top_names();
    let start = Instant::now();
    let bar = progress(output, "sending");
    let sent = transfer::send(&us.sender(context), sources, options, stores, &*bar).await;
    drop(bar);
    let sent = sent?;
    let seconds = start.elapsed().as_secs_f64();
    let state = match sent.manifest {
        Some(manifest) if wait => Some(wait_for_all(stores, manifest).await?),
        _ => None,
    };
    remember(context, &sent, to, seconds, names);
    report(context, &sent, to, seconds, state);
    Ok(match state {
        Some(TransferState::Refused | TransferState::Expired) => ExitCode::Partial,
        _ => ExitCode::Ok,
    })
}

fn remember(context: &Context, sent: &Sent, to: &str, seconds: f64, names: Vec<String>) {
    let Some(manifest) = sent.manifest else {
        return;
    };
    let entry = HistoryEntry {
        at: Timestamp::now(),
        direction: Direction::Sent,
        transfer: sent.transfer_id,
        manifest,
        peers: to.split(", ").map(str::to_owned).collect(),
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
        return output.line(format!("{to} has received it before: nothing to send"));
    };
    let rate = Size::per_second(sent.size, seconds);
    output.line(format!(
        "{manifest}  {} in {} chunks to {to}",
        Size(sent.size),
        sent.chunks
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
    fn wants_password(&self) -> bool {
        self.password || self.secret.is_given()
    }

    async fn options(
        &self,
        context: &Context,
        recipients: Vec<Recipient>,
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
            return Err(Failure::usage("--expires 0 would be gone at once"));
        }
        let password = if self.wants_password() {
            Some(self.secret.read(Purpose::Seal).await?)
        } else {
            None
        };
        Ok(SendOptions {
            recipients,
            password,
            chunk_size,
            lifetime,
            jobs,
        })
    }
}
