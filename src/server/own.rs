//! Routes of the program that embeds the server. They stand behind the same guard as the server's own, and each of them says
//! who may call it.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use axum::{
    Router,
    body::Body,
    extract::{DefaultBodyLimit, Request, State},
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
};
use hyper::body::Body as _;

use super::{
    ServerState,
    accept::Connection,
    body,
    caller::CallerInfo,
    problem::{self, Answer, Failure},
    sending,
};
use crate::trust::{Right, Role};

/// Bytes of a request's body that are taken unless the program says otherwise.
const MAX_BODY: usize = 1 << 20;

/// Routes beside those of the server, in groups by who may call them.
///
/// Before a handler runs, its caller has passed what every request of the server passes: it is not revoked, its turn has come,
/// its head is within the limits, and it has a place among the requests in work. Then it has the role or the right of the group,
/// and its body is in memory, which counts for the caller. A handler that panics answers 500. Handlers learn who calls by the
/// extractor [`CallerInfo`].
///
/// Two groups may have routes at one address for different methods, such as reading for members and writing by a right. Addresses
/// below `/v1` are the server's: a route there is never reached. So are the answers for what is not routed: the fallback of a group is
/// never reached either, and two groups that have one do not go together.
///
/// Requests for own routes count by themselves: as many of one peer may be in work as of the server's own requests, so that slow ones
/// take no place from its transfers. What comes to more is answered 429. Connections (64 of one peer), handshakes (16 at once from one
/// address), the rate of requests and the memory of bodies are shared with the server's own routes.
///
/// A response that goes on for long, such as an event stream, is cut when its caller is revoked or gets the role `none`. Whoever gets
/// another role or loses a right is asked about by the handler, with [`CallerInfo::may`] or [`CallerInfo::role`] for each item.
pub struct OwnRoutes {
    groups: Vec<(Access, Router<ServerState>)>,
    max_body: usize,
}

/// Two own routes have the same address and the same method, or two groups a fallback.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("own routes do not go together: {0}")]
pub struct RoutesCollide(pub String);

/// Own routes behind their guards.
pub struct GuardedRoutes(pub(super) Router);

/// Who may call a group of routes.
enum Access {
    /// Callers with the role `member`.
    Members,
    /// Callers with any role but `none`.
    AnyRole,
    /// Callers with this right, whatever their role is.
    Right(Right),
}

impl Default for OwnRoutes {
    fn default() -> Self {
        Self {
            groups: Vec::new(),
            max_body: MAX_BODY,
        }
    }
}

impl OwnRoutes {
    /// No route yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds routes for callers with the role `member`.
    pub fn for_members(self, routes: Router<ServerState>) -> Self {
        self.with(Access::Members, routes)
    }

    /// Adds routes for callers with any role but `none`.
    pub fn for_any_role(self, routes: Router<ServerState>) -> Self {
        self.with(Access::AnyRole, routes)
    }

    /// Adds routes for callers that have `right`, whatever their role is, `none` included.
    pub fn for_right(self, right: Right, routes: Router<ServerState>) -> Self {
        self.with(Access::Right(right), routes)
    }

    /// Takes request bodies of at most `bytes`, instead of 1 MiB.
    pub fn with_max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    fn with(mut self, access: Access, routes: Router<ServerState>) -> Self {
        self.groups.push((access, routes));
        self
    }

    /// All groups, each behind its guard; or what axum says of two that do not go together.
    pub(super) fn try_into_router(self, state: &ServerState) -> Result<Router, RoutesCollide> {
        let built = catch_unwind(AssertUnwindSafe(|| self.into_router(state)));
        built.map_err(|panic| {
            let said = panic.downcast_ref::<String>().cloned();
            let said = said.or_else(|| panic.downcast_ref::<&str>().map(|said| (*said).to_owned()));
            RoutesCollide(said.unwrap_or_default())
        })
    }

    /// All groups, each behind its guard.
    ///
    /// # Panics
    /// As axum does, if two routes have the same address and method.
    pub(super) fn into_router(self, state: &ServerState) -> Router {
        let mut all = Router::new();
        for (access, routes) in self.groups {
            let guard = Guard {
                state: state.clone(),
                access: Arc::new(access),
                max_body: self.max_body,
            };
            // The guard has read the body, up to the limit that the program gave: axum's own must not cut it before.
            let guarded = routes
                .layer(DefaultBodyLimit::disable())
                .layer(from_fn_with_state(guard, guard_request));
            all = all.merge(guarded);
        }
        all.method_not_allowed_fallback(problem::method_not_allowed)
            .fallback(problem::no_such_own_route)
            .layer(from_fn(reserve))
            .with_state(state.clone())
    }
}

/// Whether an address is the server's.
pub(super) fn is_reserved(path: &str) -> bool {
    path == "/v1" || path.starts_with("/v1/")
}

/// Keeps `/v1` for the server.
async fn reserve(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    match is_reserved(path) {
        true => problem::no_such_route().await.into_response(),
        false => next.run(request).await,
    }
}

/// What stands before the routes of one group.
#[derive(Clone)]
struct Guard {
    state: ServerState,
    access: Arc<Access>,
    max_body: usize,
}

async fn guard_request(
    State(guard): State<Guard>,
    connection: Connection,
    request: Request,
    next: Next,
) -> Answer {
    let caller = CallerInfo {
        state: guard.state.clone(),
        connection: connection.clone(),
    };
    guard.access.check(&caller)?;
    let (mut parts, mut body) = request.into_parts();
    let mut memory = None;
    if !body.is_end_stream() {
        let request = Request::from_parts(parts.clone(), body);
        let received = body::read(&guard.state, &connection, request, guard.max_body).await?;
        body = Body::from(received.bytes);
        memory = Some(received.memory);
    }
    parts.extensions.insert(caller);
    let mut response = next.run(Request::from_parts(parts, body)).await;
    drop(memory);
    response.extensions_mut().insert(sending::Own);
    Ok(response)
}

impl Access {
    fn check(&self, caller: &CallerInfo) -> Result<(), Failure> {
        match self {
            Self::Members => caller.require_role(|role| role == Role::Member),
            Self::AnyRole => caller.require_role(|role| role != Role::None),
            Self::Right(right) => Ok(caller.require(right)?),
        }
    }
}
