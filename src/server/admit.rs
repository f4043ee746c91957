//! What every request passes before its route: is the caller still trusted, is the head acceptable, is it its turn?

use std::{
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderValue, Method, Version, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use hyper::body::Body as _;

use super::{
    ServerState,
    accept::Connection,
    meter::Asked,
    own,
    problem::{Answer, Failure},
    sending,
    shares::{Share, Shortage},
    told::{Bringing, note, tell_failure, tell_refusal},
};
use crate::{
    id::PeerId,
    name::Escaped,
    sabotage,
    tls::Standing,
    trust::Role,
    wire::{self, Code, route},
};

/// Set by whoever has read the request's body to its end.
#[derive(Clone, Default)]
pub(super) struct BodyRead(Arc<AtomicBool>);

impl BodyRead {
    /// The body has been read.
    pub(super) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The layer around all routes.
pub(super) async fn admit(
    State(state): State<ServerState>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(connection) = request.extensions().get::<Connection>().cloned() else {
        let outside = "the router runs outside of `serve`";
        tracing::error!(cause = outside, "a request failed");
        return Failure::internal(&outside).into_response();
    };
    if state.is_out(&connection.caller, connection.standing) {
        // No answer: the cut wakes the connection, which drops this future.
        connection.cut.cancel();
        std::future::pending::<()>().await;
    }
    if !sabotage::without("request-rate") {
        let (peer, cost) = (&connection.caller.peer_id, cost(&request));
        state.0.rate.turn(peer, cost).await;
    }
    let read = BodyRead::default();
    request.extensions_mut().insert(read.clone());
    let (parts, body) = request.into_parts();
    let has_body = !body.is_end_stream();
    let asked = Asked::of(&parts);
    let bringing = Bringing::of(&asked, &parts);
    let line = format!("{} {}", parts.method, parts.uri.path());
    let mut response = match turn(&state, &connection, &parts, has_body) {
        Ok(share) => {
            let response = next.run(Request::from_parts(parts, body)).await;
            sending::charge(&state, &connection, response, share).await
        }
        Err(failure) => failure.into_response(),
    };
    state.0.meter.answered(&asked, &response);
    let unread = has_body && !read.0.load(Ordering::Relaxed);
    finish(response.headers_mut(), unread);
    tell_failure(&state, &connection.caller, &line, &response);
    let told = bringing.and_then(|b| tell_refusal(&state, &connection.caller, &b, &response));
    if let Some(not_taken) = told {
        note(&state, move |desk| desk.not_taken(&not_taken)).await;
    }
    let (peer, line) = (Escaped::new(&connection.caller.name), Escaped::new(&line));
    tracing::debug!(%peer, %line, status = response.status().as_u16(), "answered");
    response
}

/// What a request counts as: chunks are asked for and brought by the hundred, everything else seldom.
fn cost(request: &Request) -> NonZeroU32 {
    let path = request.extensions().get::<MatchedPath>();
    match path.is_some_and(|path| path.as_str() == route::CHUNK) {
        true => NonZeroU32::MIN,
        false => wire::OTHER_REQUEST_COST,
    }
}

fn turn(
    state: &ServerState,
    connection: &Connection,
    parts: &Parts,
    has_body: bool,
) -> Answer<Share<PeerId>> {
    check_standing(connection, parts)?;
    check_uri(parts)?;
    check_headers(&parts.headers, parts.version)?;
    if has_body && takes_no_body(parts) {
        let detail = format!("{} takes no body here", parts.method);
        return Err(Failure::new(Code::TooLarge, detail));
    }
    check_role(state, connection, parts)?;
    // What an own handler takes its time for must not keep the same peer's transfers waiting.
    let requests = match own::is_reserved(parts.uri.path()) {
        true => &state.0.requests,
        false => &state.0.own_requests,
    };
    let share = requests.take(connection.caller.peer_id, 1);
    share.map_err(|shortage| match shortage {
        Shortage::Each => Failure::busy(
            Code::TooManyRequests,
            "too many requests of this peer at once; wait for answers",
        ),
        Shortage::Total => Failure::busy(Code::Busy, "too many requests at once; try again"),
    })
}

/// What a body would say to a peer that leaves for good, this version does not know: it is refused rather than passed over.
fn takes_no_body(parts: &Parts) -> bool {
    let path = parts.extensions.get::<MatchedPath>();
    let leaves = path.is_some_and(|path| path.as_str() == route::LEAVE);
    leaves || [Method::GET, Method::HEAD, Method::DELETE].contains(&parts.method)
}

/// Somebody whose certificate has ended may have it renewed, and nothing else.
fn check_standing(connection: &Connection, parts: &Parts) -> Answer<()> {
    let path = parts.extensions.get::<MatchedPath>();
    let is_renewal = path.is_some_and(|path| path.as_str() == route::RENEW);
    if connection.standing != Standing::Ended || is_renewal {
        return Ok(());
    }
    let detail = format!(
        "your certificate ended on {}: renew it with POST {}; nothing else is answered",
        connection.caller.not_after,
        route::RENEW
    );
    Err(Failure::new(Code::CertificateExpired, detail))
}

/// A caller that may put nothing is told so before the body is read. What a role may see is for [`ServerState::store`], what
/// it may do with a route of the embedding program for [`super::own`]: those have no matched path yet.
fn check_role(state: &ServerState, connection: &Connection, parts: &Parts) -> Answer<()> {
    let route = parts
        .extensions
        .get::<MatchedPath>()
        .map(MatchedPath::as_str);
    let Some(route) = route else {
        return Ok(());
    };
    let looker = state.looker(connection);
    if looker.role == Role::None && !route::FOR_ALL_ROLES.contains(&route) {
        let detail = "your role here is none: you may do nothing with the store; ask its owner";
        return Err(Failure::new(Code::NotAllowed, detail));
    }
    let stores = [route::CHUNK, route::MANIFEST, route::OFFER];
    if parts.method == Method::PUT && stores.contains(&route) {
        looker.may_put()?;
    }
    Ok(())
}

fn check_uri(parts: &Parts) -> Answer<()> {
    let too_long = |what, max| {
        Err(Failure::new(
            Code::UriTooLong,
            format!("the {what} has more than {max} bytes"),
        ))
    };
    if parts.uri.path().len() > wire::MAX_PATH {
        return too_long("path", wire::MAX_PATH);
    }
    match parts.uri.query() {
        Some(query) if query.len() > wire::MAX_QUERY => too_long("query", wire::MAX_QUERY),
        _ => Ok(()),
    }
}

fn check_headers(headers: &HeaderMap, version: Version) -> Answer<()> {
    if version == Version::HTTP_11 && headers.get_all(header::HOST).iter().count() != 1 {
        return Err(Failure::new(
            Code::BadHeader,
            "a request has exactly one Host header",
        ));
    }
    if headers.contains_key(header::TRANSFER_ENCODING) {
        let detail = "send a Content-Length instead of a Transfer-Encoding";
        return Err(Failure::new(Code::LengthRequired, detail));
    }
    let only = |name, allowed: &[u8]| {
        headers
            .get_all(name)
            .iter()
            .all(|v| v.as_bytes().eq_ignore_ascii_case(allowed))
    };
    if !only(header::EXPECT, b"100-continue") {
        return Err(Failure::new(
            Code::ExpectationFailed,
            "the only expectation met is 100-continue",
        ));
    }
    if !only(header::CONTENT_ENCODING, b"identity") {
        let detail = "bodies are taken as they are, without Content-Encoding";
        return Err(Failure::new(Code::UnsupportedMediaType, detail));
    }
    Ok(())
}

fn finish(headers: &mut HeaderMap, unread: bool) {
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    if unread {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
}
