//! Routes of the program that embeds the server. They stand behind the same guard as the server's own, and each of them says
//! who may call it.

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
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
/// Addresses below `/v1` are the server's: a route there is never reached. So are the answers for what is not routed: a fallback
/// is never reached either.
pub struct OwnRoutes {
    groups: Vec<(Access, Router<ServerState>)>,
    max_body: usize,
}

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

    /// All groups, each behind its guard.
    ///
    /// # Panics
    /// As axum does, if two routes have the same address.
    pub(super) fn into_router(self, state: &ServerState) -> Router {
        let mut all = Router::new();
        for (access, routes) in self.groups {
            let guard = Guard {
                state: state.clone(),
                access: Arc::new(access),
                max_body: self.max_body,
            };
            // Around the routes and around whatever fallback comes with them.
            let guarded = routes
                .method_not_allowed_fallback(problem::method_not_allowed)
                .layer(from_fn_with_state(guard, guard_request));
            all = all.merge(guarded);
        }
        all.fallback(problem::no_such_route)
            .layer(from_fn(reserve))
            .with_state(state.clone())
    }
}

/// Keeps `/v1` for the server.
async fn reserve(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    match path == "/v1" || path.starts_with("/v1/") {
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
