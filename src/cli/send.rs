//! `send` and `share`.

use std::{path::Path, sync::Arc, time::Instant};

use serde::Serialize;

use super::{
    Context,
    args::{Seal, Send, Share},
    connect::Us,
    output::Output,
    password::Purpose,
    progress::progress,
    report::{ExitCode, Failure},
};
use crate::{
    config::units::{DurationText, Size, SizeText},
    id::{ManifestId, Short as _, TransferId},
    manifest::DEFAULT_CHUNK_SIZE,
    name::Escaped,
    store::{OfferAnswer, Store, TransferState},
    transfer::{self, Recipient, SendOptions, Sent, Sources},
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
    if args.keep {
        stores.push(us.own_store(context)?.as_store());
    }
    let options = args.seal.options(context, recipients, args.jobs)?;
    let to = if args.to.is_empty() {
        args.via.join(", ")
    } else {
        args.to.join(", ")
    };
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
    let mut options = args.seal.options(context, recipients, None)?;
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
    let sources = seal.sources(output)?;
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
    report(context, &sent, to, seconds, state);
    Ok(match state {
        Some(TransferState::Refused | TransferState::Expired) => ExitCode::Partial,
        _ => ExitCode::Ok,
    })
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
    let rate = Size(rate(sent.size, seconds));
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

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "for people"
)]
pub(super) fn rate(bytes: u64, seconds: f64) -> u64 {
    (bytes as f64 / seconds.max(0.001)) as u64
}

impl Seal {
    pub(super) fn wants_password(&self) -> bool {
        self.password || self.secret.is_given()
    }

    /// Walks the paths and says what is left out, or takes standard input for `-`.
    pub(super) fn sources(&self, output: Output) -> Result<Sources, Failure> {
        let is_stdin = |path: &Path| path.as_os_str() == "-";
        if !self.paths.iter().any(|path| is_stdin(path)) {
            let sources = Sources::walk(&self.paths)?;
            if let Sources::Tree(tree) = &sources {
                for path in &tree.skipped {
                    output.warn(format!(
                        "skipped {}: neither file, folder nor link",
                        Escaped::new(&path.to_string_lossy())
                    ));
                }
            }
            return Ok(sources);
        }
        if self.paths.len() > 1 {
            return Err(Failure::usage(
                "standard input cannot be sent together with files",
            ));
        }
        if self.name.contains('/') || self.name.is_empty() {
            return Err(Failure::usage("--name is a file name, without a folder"));
        }
        Ok(Sources::Stream {
            name: self.name.clone(),
            reader: Box::new(std::io::stdin()),
        })
    }

    pub(super) fn options(
        &self,
        context: &Context,
        recipients: Vec<Recipient>,
        jobs: Option<usize>,
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
        let password = self
            .wants_password()
            .then(|| self.secret.read(Purpose::Seal))
            .transpose()?;
        let jobs = jobs.or(context.config.jobs).unwrap_or(defaults.jobs);
        Ok(SendOptions {
            recipients,
            password,
            chunk_size,
            lifetime,
            jobs,
        })
    }
}
