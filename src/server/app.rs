//! The application: every route behind its guard, and serving it on a port.

use std::{
    convert::Infallible,
    future::Future,
    io,
    net::{SocketAddr, TcpListener},
};

use axum::{
    Extension, Router, extract::Request, middleware::from_fn_with_state, response::IntoResponse,
    routing::Route,
};
use axum_server::Handle;
use hyper_util::rt::TokioTimer;
use tokio_util::sync::CancellationToken;
use tower::{Layer, Service};
use tower_http::catch_panic::CatchPanicLayer;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    GuardedRoutes, OwnRoutes, RoutesCollide, ServerState, accept, admit, chunks, circle, custody,
    directory, events, health, manifests, note_cuts, offers, openapi, owner, peer, problem, told,
    watch_connections,
};
use crate::wire;

/// Every route, every limit on requests, and the checks before them. The connection's part of the limits is in
/// [`serve`](Self::serve).
pub struct App {
    router: Router,
    state: ServerState,
}

impl App {
    /// The server's routes and `own`, behind the same guard. Pass all routes here: there is no other way to add one.
    ///
    /// # Panics
    /// If two of `own` have the same address and method; see [`Self::guard`].
    pub fn new(state: ServerState, own: OwnRoutes) -> Self {
        let own = own.into_router(&state);
        Self::with(state, GuardedRoutes(own))
    }

    /// Puts `own` behind the guard, and says at once if two of them have the same address and method.
    ///
    /// # Errors
    /// [`RoutesCollide`].
    pub fn guard(state: &ServerState, own: OwnRoutes) -> Result<GuardedRoutes, RoutesCollide> {
        own.try_into_router(state).map(GuardedRoutes)
    }

    /// The server's routes and `own`.
    pub fn with(state: ServerState, own: GuardedRoutes) -> Self {
        let (router, document) = routes().split_for_parts();
        let router = router
            .fallback_service(own.0)
            .method_not_allowed_fallback(problem::method_not_allowed)
            .layer(Extension(openapi::finish(document)))
            .layer(CatchPanicLayer::custom(problem::panicked))
            .layer(from_fn_with_state(state.clone(), admit::admit))
            .with_state(state.clone());
        Self { router, state }
    }

    /// Puts a layer around everything, the guard included. It sees requests before anything was asked about their caller.
    pub fn layer<L>(self, layer: L) -> Self
    where
        L: Layer<Route> + Clone + Send + Sync + 'static,
        L::Service: Service<Request> + Clone + Send + Sync + 'static,
        <L::Service as Service<Request>>::Response: IntoResponse + 'static,
        <L::Service as Service<Request>>::Error: Into<Infallible> + 'static,
        <L::Service as Service<Request>>::Future: Send + 'static,
    {
        let Self { router, state } = self;
        let router = router.layer(layer);
        Self { router, state }
    }

    /// Serves `listener` until `shutdown` is ready; then accepts no more, ends event streams, lets requests in work finish
    /// for [`Limits::drain`](super::Limits::drain), and cuts the rest. Dropping the future cuts at once.
    ///
    /// # Errors
    /// The listener cannot be used.
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send,
    ) -> io::Result<()> {
        let Self { router, state } = self;
        listener.set_nonblocking(true)?;
        let handle = Handle::<SocketAddr>::new();
        let cut = CutOnDrop(handle.clone(), CancellationToken::new());
        let door = accept::Door::new(state.clone(), cut.1.child_token());
        let mut server = axum_server::from_tcp(listener)?
            .acceptor(door)
            .handle(handle.clone());
        // Without a timer a head timeout is not merely ignored: hyper panics when it serves the first connection.
        server
            .http_builder()
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(state.limits().head_timeout)
            .max_headers(wire::MAX_HEADERS)
            .max_buf_size(wire::MAX_HEAD);
        // Last, for setting the acceptor forgets it. Then hyper speaks HTTP/1 from the first byte on, and the head timeout
        // also covers a peer that connects and says nothing.
        let serving = server.http1_only().serve(router.into_make_service());
        let stopping = async {
            shutdown.await;
            cut.1.cancel();
            handle.graceful_shutdown(Some(state.limits().drain));
            std::future::pending::<()>().await;
        };
        let served = tokio::select! {
            result = serving => result,
            () = stopping => Ok(()),
            () = watch_connections(&state) => Ok(()),
        };
        note_cuts(&state, told::tell_cuts(&state, |_, _| true)).await;
        served
    }
}

/// The routes with their description: a handler gets its address from what it says of itself.
pub(super) fn routes() -> OpenApiRouter<ServerState> {
    OpenApiRouter::with_openapi(openapi::document())
        .routes(routes!(offers::put))
        .routes(routes!(chunks::put, chunks::get))
        .routes(routes!(chunks::list))
        .routes(routes!(chunks::missing))
        .routes(routes!(custody::prove))
        .routes(routes!(manifests::put, manifests::get, manifests::delete))
        .routes(routes!(manifests::state))
        .routes(routes!(manifests::list))
        .routes(routes!(owner::arriving))
        .routes(routes!(owner::cancel))
        .routes(routes!(owner::gc))
        .routes(routes!(owner::decided))
        .routes(routes!(owner::delete))
        .routes(routes!(owner::reload))
        .routes(routes!(owner::stop))
        .routes(routes!(circle::crl, circle::put_crl))
        .routes(routes!(circle::certificate))
        .routes(routes!(circle::renew))
        .routes(routes!(directory::get, directory::put))
        .routes(routes!(circle::leave))
        .routes(routes!(peer::describe))
        .routes(routes!(health::health))
        .routes(routes!(health::metrics))
        .routes(routes!(events::stream))
        .routes(routes!(openapi::get))
}

/// axum-server runs connections as tasks of their own, which would outlive a dropped [`App::serve`].
struct CutOnDrop(Handle<SocketAddr>, CancellationToken);

impl Drop for CutOnDrop {
    fn drop(&mut self) {
        self.1.cancel();
        self.0.shutdown();
    }
}
