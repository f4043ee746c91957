//! `send` and `share`.

mod meet;

use std::time::{Duration, Instant};

use futures::future::try_join_all;
use serde::Serialize;
use serde_json::json;

use super::{
    Context,
    args::{Seal, Send, Share},
    connect::{Us, jobs, pace, paced},
    history,
    output::{Output, count},
    password::Purpose,
    progress::progress,
    report::{ExitCode, Failure},
    sources::{code_for, say_each_left_out, say_left_out, say_limit, say_what},
    whom::each_once,
};
use crate::{
    config::units::{DurationText, Size, SizeText},
    id::{ManifestId, Short as _, TransferId},
    manifest::{DEFAULT_CHUNK_SIZE, check_chunk_size},
    name::Escaped,
    peer::{Direction, HistoryEntry},
    store::{LEAST_LIFE, OfferAnswer, StateAt, TransferState, WaitReason},
    transfer::{self, Recipient, SendOptions, Sent, Sources, fitting_chunk_size},
    trust::KnownPeer,
};
use meet::{Met, Stop, meet};

/// The chunk size of a stream of unknown length: 65,536 of them are 256 GiB.
const STREAM_CHUNK_SIZE: u32 = 4 << 20;
/// `--wait` says nothing for so long.
const QUIET_WAIT: Duration = Duration::from_secs(5);

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
    let sources = args.seal.sources(&context.home)?;
    let jobs = jobs(context, args.jobs);
    let mut options = args.seal.options(context, &sources, jobs).await?;
    let pace = pace(context, args.limit.as_deref())?;
    let us = Us::load(context)?;
    let Met {
        known,
        mut stops,
        missed,
        ..
    } = meet(context, &us, &args).await?;
    let names: Vec<_> = known.iter().map(KnownPeer::shown).collect();
    let to = in_words(&names, &args.via);
    options.recipients = known.into_iter().map(recipient).collect();
    if args.keep && !args.dry_run {
        let store = us.own_store(context)?.as_store();
        stops.push(Stop::new("the local store", store));
    }
    for stop in &mut stops {
        stop.store = paced(stop.store.clone(), pace.as_ref());
    }
    if args.dry_run {
        say_what(context.output, &sources, &options, &to);
        return Ok(code_for(sources.left_out()));
    }
    let way = Way {
        options,
        stops,
        missed,
        to,
        peers: if names.is_empty() { args.via } else { names },
        wait: args.wait,
    };
    deliver(context, &us, sources, way).await
}

pub(super) fn recipient(peer: KnownPeer) -> Recipient {
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
    let sources = args.seal.sources(&context.home)?;
    let jobs = jobs(context, None);
    let mut options = args.seal.options(context, &sources, jobs).await?;
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
        options.recipients = each_once(options.recipients, |recipient| recipient.peer);
    }
    let stops = vec![Stop::new(
        "the local store",
        us.own_store(context)?.as_store(),
    )];
    if args.seal.expires.is_none() {
        options.lifetime = None;
    }
    let way = Way {
        options,
        stops,
        missed: Vec::new(),
        to: "to the local store".to_owned(),
        peers: Vec::new(),
        wait: false,
    };
    deliver(context, &us, sources, way).await
}

/// Where a transfer goes, and how.
struct Way {
    options: SendOptions,
    stops: Vec<Stop>,
    /// Who does not have it in the end, and why.
    missed: Vec<(String, Failure)>,
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
    mut way: Way,
) -> Result<ExitCode, Failure> {
    let output = context.output;
    say_left_out(output, &sources);
    say_limit(output, &sources, &way.options);
    let code = code_for(sources.left_out());
    let names = sources.top_names();
    let start = Instant::now();
    let bar = progress(output, "sending");
    let sender = us.sender(context);
    let stores: Vec<_> = way.stops.iter().map(|stop| stop.store.clone()).collect();
    let sent = transfer::send(&sender, sources, &way.options, &stores, &*bar).await;
    drop(bar);
    let mut sent = sent?;
    say_each_left_out(output, &sent.left_out);
    let seconds = start.elapsed().as_secs_f64();
    for (number, error) in std::mem::take(&mut sent.failures).into_iter().rev() {
        let stop = way.stops.remove(number);
        way.missed.push((stop.name, error.into()));
    }
    let state = match sent.manifest {
        Some(manifest) if way.wait => Some(wait_for_all(output, &way.stops, manifest).await?),
        _ => None,
    };
    way.peers
        .retain(|name| !way.missed.iter().any(|(missed, _)| missed == name));
    remember(context, &sent, &way.peers, seconds, names);
    report(context, &sent, &way.to, seconds, state);
    let is_partial = say_missed(output, way.missed)
        || matches!(state, Some(TransferState::Refused | TransferState::Expired));
    Ok(match code_for(&sent.left_out) {
        ExitCode::Ok if !is_partial => code,
        _ => ExitCode::Partial,
    })
}

/// Says who does not have it. Gives whether there is anybody.
fn say_missed(output: Output, missed: Vec<(String, Failure)>) -> bool {
    let is_any = !missed.is_empty();
    for (name, failure) in missed {
        let (exit, reason, _) = failure.into_parts();
        let shown = Escaped::new(&reason);
        output.warn(format!("colis: not sent to {name}: {shown}"));
        let (exit, reason) = (exit as u8, shown.to_string());
        output.object(
            "missed",
            &json!({"peer": name, "exit": exit, "reason": reason}),
        );
    }
    if is_any {
        output.warn(
            "hint: the same command again reaches who is missing, or --via a peer that is there",
        );
    }
    is_any
}

fn remember(context: &Context, sent: &Sent, peers: &[String], seconds: f64, names: Vec<String>) {
    let Some(manifest) = sent.manifest else {
        return;
    };
    let entry = HistoryEntry {
        manifest: Some(manifest),
        peers: peers.to_vec(),
        bytes: sent.size,
        seconds: Some(seconds),
        names,
        ..HistoryEntry::new(Direction::Sent, sent.transfer_id)
    };
    history::note(context, &entry);
}

/// The last state that all reach.
async fn wait_for_all(
    output: Output,
    stops: &[Stop],
    manifest: ManifestId,
) -> Result<TransferState, Failure> {
    let waits = stops.iter().map(|stop| wait_for(output, stop, manifest));
    let settled = try_join_all(waits).await?.into_iter();
    let mut others = settled.filter(|state| *state != TransferState::Opened);
    Ok(others.next_back().unwrap_or(TransferState::Opened))
}

/// The state that it reaches there. Says once why it is waited for, for it may be for ever; and again if that changes.
async fn wait_for(
    output: Output,
    stop: &Stop,
    manifest: ManifestId,
) -> Result<TransferState, Failure> {
    let settled = transfer::wait_until_settled(&*stop.store, manifest);
    tokio::pin!(settled);
    let mut said = None;
    loop {
        if let Ok(settled) = tokio::time::timeout(QUIET_WAIT, &mut settled).await {
            return Ok(settled?.state);
        }
        let now = stop.store.manifest_state(manifest).await?;
        if said.replace((now.state, now.reason)) == Some((now.state, now.reason)) {
            continue;
        }
        let (name, why) = (Escaped::new(&stop.name), why_unopened(now, manifest));
        output.warn(format!("at {name} it {why}. Ctrl-C ends only the waiting"));
        output.object(
            "waiting",
            &json!({"peer": stop.name, "state": now.state, "reason": now.reason}),
        );
    }
}

/// Why it is not opened, and what helps.
fn why_unopened(now: StateAt, manifest: ManifestId) -> String {
    let id = manifest.short();
    let yes = format!("there it is opened by: colis inbox accept {id}");
    let receive = format!("there it is opened by: colis receive {id}");
    let again = "it is tried again by itself";
    let (why, help) = match now.reason {
        Some(WaitReason::Asks) => ("waits for a yes", yes),
        Some(WaitReason::Larger) => ("is larger than what is opened unasked", yes),
        Some(WaitReason::LongTable) => ("has more files than what is opened unasked", yes),
        Some(WaitReason::Locked) => ("is locked by a password", receive),
        Some(WaitReason::Off) => ("stays sealed, because the inbox is off", receive),
        Some(WaitReason::NoSpace) => (
            "cannot be written, because the disk for received files is full",
            again.to_owned(),
        ),
        Some(WaitReason::CannotWrite) => (
            "cannot be written: its folder of received files must be mended, which `colis doctor` examines there",
            again.to_owned(),
        ),
        Some(WaitReason::CannotOpen) => (
            "could not be opened; its owner sees why by: colis inbox",
            again.to_owned(),
        ),
        None if now.state == TransferState::Waiting => (
            "waits; its owner sees why by: colis inbox",
            "it may wait for a yes".to_owned(),
        ),
        None => (
            "is stored and not opened yet",
            "its peer may be busy".to_owned(),
        ),
    };
    format!("{why}; {help}")
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

    /// The chunk size that was asked for, doubled until `sources` fit. A stream whose end nobody knows has larger chunks by
    /// default, for it cannot have more of them.
    fn chunk_size(&self, context: &Context, sources: &Sources) -> Result<u32, Failure> {
        let asked = self
            .chunk_size
            .as_deref()
            .map(str::parse::<SizeText>)
            .transpose()?;
        let size = sources.expected_size();
        let default = match size {
            None => STREAM_CHUNK_SIZE,
            Some(_) => DEFAULT_CHUNK_SIZE,
        };
        let chunk_size = asked
            .or(context.config.chunk_size)
            .map_or(u64::from(default), SizeText::bytes);
        let bad_size = || {
            Failure::usage("a chunk has 64KiB to 64MiB, a power of two")
                .hint("for instance --chunk-size 4MiB")
        };
        let chunk_size = u32::try_from(chunk_size).map_err(|_| bad_size())?;
        check_chunk_size(chunk_size).map_err(|_| bad_size())?;
        Ok(fitting_chunk_size(chunk_size, size)?)
    }

    /// How `sources` are sealed; to whom is for the caller to say.
    pub(super) async fn options(
        &self,
        context: &Context,
        sources: &Sources,
        jobs: usize,
    ) -> Result<SendOptions, Failure> {
        let defaults = SendOptions::default();
        let chunk_size = self.chunk_size(context, sources)?;
        let lifetime = match self.expires.as_deref() {
            None => defaults.lifetime,
            Some("never") => None,
            Some(text) => Some(text.parse::<DurationText>()?.duration()),
        };
        if lifetime.is_some_and(|lifetime| lifetime <= LEAST_LIFE) {
            let failure = Failure::usage("a transfer of a minute or less would be gone at once");
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
