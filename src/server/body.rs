//! Reading a request's body: its length known, its memory granted, its sender not asleep.

use std::time::Duration;

use axum::{body::Body, extract::Request, http::header};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use tokio::time::{Instant, timeout};

use super::{
    Limits, ServerState,
    accept::Connection,
    admit::BodyRead,
    problem::{Answer, Failure},
    shares::{Share, Shortage},
};
use crate::{
    id::{PeerId, Short as _},
    sabotage,
    wire::{self, Code},
};

/// What checking an envelope takes for each of its bytes: they, what they carry, both written again or hashed in part.
pub(super) const CHECKING: usize = 4;

/// What a question in JSON takes for each of its bytes, until its answer is written: they, what they say, the answer, which is
/// no longer, and its text in a buffer that grows.
pub(super) const ANSWERING: usize = 5;

/// A body in memory, with the grant of that memory.
pub(super) struct Received {
    /// Its bytes.
    pub(super) bytes: Bytes,
    /// To be held as long as they are.
    pub(super) memory: Share<PeerId>,
}

/// Reads the whole body, at most `max` bytes.
///
/// # Errors
/// `length-required`, `too-large` and `busy` before a byte is read; then `slow-body` and `short-body`.
pub(super) async fn read(
    state: &ServerState,
    connection: &Connection,
    request: Request,
    max: usize,
) -> Answer<Received> {
    read_for(state, connection, request, max, 1).await
}

/// The same for the envelope of an offer or a manifest, with the memory that checking it takes.
///
/// # Errors
/// As [`read`].
pub(super) async fn read_envelope(
    state: &ServerState,
    connection: &Connection,
    request: Request,
) -> Answer<Received> {
    read_for(
        state,
        connection,
        request,
        wire::MAX_MANIFEST_BODY,
        CHECKING,
    )
    .await
}

/// The same for a question of at most `max` bytes in JSON, with the memory that answering it takes.
///
/// # Errors
/// As [`read`].
pub(super) async fn read_question(
    state: &ServerState,
    connection: &Connection,
    request: Request,
    max: usize,
) -> Answer<Received> {
    read_for(state, connection, request, max, ANSWERING).await
}

/// `cost` is what each byte takes in memory.
async fn read_for(
    state: &ServerState,
    connection: &Connection,
    request: Request,
    max: usize,
    cost: usize,
) -> Answer<Received> {
    let length = announced_length(&request, max)?;
    let memory = grant(state, connection, length * cost)?;
    let done = request.extensions().get::<BodyRead>().cloned();
    let bytes = collect(request.into_body(), length, state.limits()).await?;
    if let Some(done) = done {
        done.set();
    }
    Ok(Received { bytes, memory })
}

/// Memory for `length` bytes that a request brings, or that its work takes.
pub(super) fn grant(
    state: &ServerState,
    connection: &Connection,
    length: usize,
) -> Answer<Share<PeerId>> {
    let peer = connection.caller.peer_id;
    let share = state.0.memory.take(peer, counted(length));
    Ok(making_way(
        state,
        connection,
        share.map_err(too_much)?,
        length,
    ))
}

/// The same for a response, which waits for a moment: a client may ask for more chunks side by side than fit.
pub(super) async fn grant_response(
    state: &ServerState,
    connection: &Connection,
    length: usize,
) -> Answer<Share<PeerId>> {
    let (memory, peer) = (&state.0.memory, connection.caller.peer_id);
    let patience = state.limits().memory_patience;
    let share = memory.take_within(patience, peer, counted(length)).await;
    Ok(making_way(
        state,
        connection,
        share.map_err(too_much)?,
        length,
    ))
}

/// Closes the connection of a body that exceeds the share of its peer when it takes long and another peer has one too.
fn making_way(
    state: &ServerState,
    connection: &Connection,
    mut share: Share<PeerId>,
    length: usize,
) -> Share<PeerId> {
    let limits = state.limits();
    if length > limits.body_memory_per_peer {
        let (outstays, cut) = (
            share.outstays(limits.large_body_time),
            connection.cut.clone(),
        );
        let peer = connection.caller.peer_id;
        tokio::spawn(async move {
            if outstays.await {
                tracing::info!(peer = peer.short(), "a large body made way for another");
                cut.cancel();
            }
        });
    }
    share
}

fn counted(length: usize) -> usize {
    match sabotage::without("body-memory") {
        true => 0,
        false => length,
    }
}

fn too_much(_: Shortage) -> Failure {
    Failure::busy(Code::Busy, "too many bodies in memory; try again")
}

fn announced_length(request: &Request, max: usize) -> Answer<usize> {
    // hyper has refused every Content-Length that is not one number.
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    let length =
        length.ok_or_else(|| Failure::new(Code::LengthRequired, "send a Content-Length"))?;
    usize::try_from(length)
        .ok()
        .filter(|l| *l <= max)
        .ok_or_else(|| {
            Failure::new(
                Code::TooLarge,
                format!("{length} bytes are too many, at most {max} are taken here"),
            )
        })
}

async fn collect(mut body: Body, length: usize, limits: &Limits) -> Answer<Bytes> {
    let began = Instant::now();
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        let patience = patience(bytes.len(), began.elapsed(), limits);
        let frame = timeout(patience, body.frame()).await;
        let slow = |_| {
            Failure::new(
                Code::SlowBody,
                "the body comes too slowly; check the link and try again",
            )
        };
        let short = || {
            Failure::new(
                Code::ShortBody,
                format!("the body ended after {} of {length} bytes", bytes.len()),
            )
        };
        let frame = frame
            .map_err(slow)?
            .and_then(Result::ok)
            .ok_or_else(short)?;
        if let Ok(data) = frame.into_data() {
            bytes.extend_from_slice(&data);
        }
    }
    Ok(bytes.into())
}

/// How long to wait for more: until the body is idle for too long, or too slow on average.
fn patience(received: usize, elapsed: Duration, limits: &Limits) -> Duration {
    let rate = limits.min_body_rate.max(1);
    let earned = Duration::from_millis((received as u64).saturating_mul(1000) / rate);
    let until_slow = limits.body_grace.max(earned).saturating_sub(elapsed);
    limits.body_idle.min(until_slow)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_earns_its_time_by_what_it_brings() {
        let limits = Limits::default();
        let seconds = Duration::from_secs;
        assert_eq!(patience(0, seconds(0), &limits), limits.body_grace);
        assert_eq!(patience(1 << 20, seconds(3), &limits), limits.body_idle);
        assert_eq!(patience(100, seconds(6), &limits), Duration::ZERO);
        let just = usize::try_from(limits.min_body_rate).unwrap() * 8;
        assert_eq!(patience(just, seconds(7), &limits), seconds(1));
    }
}
