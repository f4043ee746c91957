//! A peer that serves on a free port of loopback and stops when it is dropped.

pub mod depot;
pub mod log;
pub mod pki;
pub mod transfer;

use std::{
    collections::{BTreeSet, HashMap},
    net::SocketAddr,
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use axum::{
    extract::{MatchedPath, Request},
    middleware::Next,
};
use colis::{
    id::PeerId,
    server::{
        self, App, CircleDesk, Limits, ListError, OwnRoutes, RenewError, ServerState, Services,
        StoreDesk,
    },
    store::Store,
    tls::{BadList, Caller},
    trust::{Right, Role},
    wire::{Code, Problem, ServerEvent},
};
use futures::future::BoxFuture;
use reqwest::Method;
use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::{broadcast, oneshot},
    task::JoinHandle,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use depot::Depot;
use pki::{Circle, Identity, TestGate, Validity};

/// Far longer than anything that a test waits for.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub struct TestPeer {
    pub address: SocketAddr,
    pub circle: Arc<Circle>,
    pub own: Identity,
    /// What it keeps, unless another store was given.
    pub store: Arc<Depot>,
    pub state: ServerState,
    pub desk: Arc<Office>,
    /// Roles other than member.
    pub roles: Arc<Mutex<HashMap<PeerId, Role>>>,
    pub rights: Arc<Mutex<HashMap<PeerId, BTreeSet<Right>>>>,
    /// What it says of itself.
    pub bundle: Arc<Mutex<String>>,
    pub events: broadcast::Sender<ServerEvent>,
    /// Requests that came through to the application, and what was answered.
    pub seen: Arc<Seen>,
    stop: Option<oneshot::Sender<()>>,
    pub task: Option<JoinHandle<std::io::Result<()>>>,
}

/// A circle's machine that answers what it is told.
#[derive(Default)]
pub struct Office {
    pub list: Mutex<Option<String>>,
    /// What is said about a list that is brought.
    pub taken: Mutex<Option<Result<bool, ListError>>>,
    pub renewal: Mutex<Option<Result<String, RenewError>>>,
}

/// What is to be said: a yes as often as it is asked, an error once.
fn said<T: Clone, E>(answer: &Mutex<Option<Result<T, E>>>, otherwise: E) -> Result<T, E> {
    let mut answer = answer.lock().unwrap();
    match &*answer {
        Some(Ok(yes)) => Ok(yes.clone()),
        _ => answer.take().unwrap_or(Err(otherwise)),
    }
}

impl CircleDesk for Office {
    fn revocation_list(&self) -> BoxFuture<'_, Option<String>> {
        Box::pin(async { self.list.lock().unwrap().clone() })
    }

    fn circle_certificate(&self) -> Option<String> {
        Some("certificate".to_owned())
    }

    fn take_revocation_list<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<bool, ListError>> {
        let taken = said(&self.taken, ListError::NotOurs(BadList::None));
        Box::pin(async move { taken })
    }

    fn renew<'a>(
        &'a self,
        _: &'a Caller,
        request: &'a str,
    ) -> BoxFuture<'a, Result<String, RenewError>> {
        let answer = said(&self.renewal, RenewError::NotTheCircle);
        Box::pin(async move { answer.map(|a| a + request) })
    }
}

impl TestPeer {
    pub async fn start() -> Self {
        Self::with_limits(Limits::default()).await
    }

    pub async fn with_limits(limits: Limits) -> Self {
        Self::with_routes(limits, OwnRoutes::new()).await
    }

    /// A peer that has routes beside the contract's.
    pub async fn with_routes(limits: Limits, own: OwnRoutes) -> Self {
        let store = Arc::new(Depot::default());
        let circle = Circle::new("test circle");
        Self::serving(circle, store.clone(), store, limits, own)
    }

    /// A peer of `circle` that serves another store than the kit's.
    pub async fn with_store(circle: Arc<Circle>, store: Arc<dyn Store>) -> Self {
        let (depot, own) = (Arc::default(), OwnRoutes::new());
        Self::serving(circle, depot, store, Limits::default(), own)
    }

    fn serving(
        circle: Arc<Circle>,
        depot: Arc<Depot>,
        store: Arc<dyn Store>,
        limits: Limits,
        routes: OwnRoutes,
    ) -> Self {
        log::install();
        let own = circle.issue("owner", Validity::Now);
        let (roles, rights) = (Arc::default(), Arc::default());
        let gate = Arc::new(TestGate {
            circle: circle.clone(),
            own: own.clone(),
            roles: Arc::clone(&roles),
            rights: Arc::clone(&rights),
        });
        let desk = Arc::new(Office::default());
        let bundle = Arc::new(Mutex::new("the bundle".to_owned()));
        let events = broadcast::Sender::new(4);
        let state = ServerState::new(Services {
            peer_id: own.id,
            store: store.clone(),
            verifier: gate.clone(),
            gate,
            bundle: {
                let bundle = bundle.clone();
                Arc::new(move || bundle.lock().unwrap().clone())
            },
            circle: desk.clone(),
            health: Arc::new(server::NoCircle),
            owner: Arc::new(server::NoOwner),
            offers: Arc::new(StoreDesk(store)),
            events: events.clone(),
            limits,
        });
        let listener = server::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let seen = Arc::new(Seen::default());
        let app = App::new(state.clone(), routes).layer(watch(seen.clone()));
        let serving = app.serve(listener, async {
            let _ = stopped.await;
        });
        let task = Some(tokio::spawn(serving));
        Self {
            address,
            circle,
            own,
            store: depot,
            state,
            desk,
            roles,
            rights,
            bundle,
            events,
            seen,
            stop: Some(stop),
            task,
        }
    }

    /// A member of the circle.
    pub fn member(&self, name: &str) -> Identity {
        self.circle.issue(name, Validity::Now)
    }

    /// An HTTP client that shows `who`.
    pub fn client(&self, who: &Identity) -> reqwest::Client {
        self.client_with(self.circle.client_config(Some(who)))
    }

    pub fn client_with(&self, config: rustls::ClientConfig) -> reqwest::Client {
        reqwest::Client::builder()
            .tls_backend_preconfigured(config)
            .no_proxy()
            .timeout(PATIENCE)
            .build()
            .unwrap()
    }

    pub fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.address)
    }

    /// A TLS connection that shows `who`.
    pub async fn connect(&self, who: &Identity) -> TlsStream<TcpStream> {
        self.connect_with(self.circle.client_config(Some(who)))
            .await
            .unwrap()
    }

    pub async fn connect_with(
        &self,
        config: rustls::ClientConfig,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let tcp = TcpStream::connect(self.address).await?;
        let name = ServerName::IpAddress(self.address.ip().into());
        TlsConnector::from(Arc::new(config))
            .connect(name, tcp)
            .await
    }

    /// Sends `bytes` on a connection of its own, and gives everything that comes back until the server closes.
    pub async fn talk(&self, who: &Identity, bytes: &[u8]) -> String {
        let mut stream = self.connect(who).await;
        stream.write_all(bytes).await.unwrap();
        read_to_close(&mut stream).await
    }

    pub fn requests_seen(&self) -> usize {
        self.seen.requests.load(Ordering::SeqCst)
    }

    /// Begins a graceful shutdown.
    pub fn shut_down(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }
}

impl Drop for TestPeer {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
        if !thread::panicking() {
            self.seen.check();
        }
    }
}

/// Everything until the server closes, which it must do.
pub async fn read_to_close(stream: &mut TlsStream<TcpStream>) -> String {
    let mut answer = Vec::new();
    // A server that cuts sends no close_notify, which rustls reports: closed is closed.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut answer))
        .await
        .expect("the server never closed");
    String::from_utf8_lossy(&answer).into_owned()
}

/// Asserts that `response` is the problem `code`, and gives it.
pub async fn problem(response: reqwest::Response, code: Code) -> Problem {
    let (spelling, status) = code.parts();
    let (actual, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await.unwrap();
    assert_eq!(actual, status, "expected {spelling}, got {text}");
    assert_eq!(
        headers["content-type"], "application/problem+json",
        "{text}"
    );
    assert_eq!(headers["cache-control"], "no-store");
    let problem: Problem = serde_json::from_str(&text).unwrap();
    assert_eq!(problem.code, spelling, "{text}");
    assert_eq!(problem.kind, format!("urn:colis:problem:{spelling}"));
    assert_eq!(problem.status, status);
    assert!(!problem.detail.is_empty() && !problem.detail.contains('\n'));
    problem
}

/// What reached a peer, and what it answered.
#[derive(Default)]
pub struct Seen {
    requests: AtomicUsize,
    answers: Mutex<Vec<Answered>>,
}

/// Method, route, status and media type.
type Answered = (Method, String, u16, Option<String>);

impl Seen {
    /// Everything that was answered stands in the contract: called when a peer goes, so for every test here.
    fn check(&self) {
        static CONTRACT: LazyLock<Value> =
            LazyLock::new(|| serde_json::from_slice(&server::openapi()).unwrap());
        for (method, route, status, media) in self.answers.lock().unwrap().drain(..) {
            let operation = &CONTRACT["paths"][&route][method.as_str().to_lowercase()];
            if operation.is_null() {
                assert!(
                    (400..500).contains(&status),
                    "{method} {route} is in no document, and gives {status}"
                );
                continue;
            }
            let mut response = &operation["responses"][status.to_string()];
            if let Some(shared) = response["$ref"].as_str() {
                response = CONTRACT.pointer(shared.trim_start_matches('#')).unwrap();
            }
            assert!(
                response.is_object(),
                "{method} {route} gives {status}, which is in no document"
            );
            let media = media.filter(|_| method != Method::HEAD);
            let documented = match (&media, response["content"].as_object()) {
                (Some(media), Some(content)) => {
                    content.contains_key(media.split(';').next().unwrap())
                }
                (None, content) => content.is_none(),
                (Some(_), None) => false,
            };
            assert!(
                documented,
                "{method} {route} gives {status} as {media:?}, which is in no document"
            );
        }
    }

    /// Forgets the answers: a store did here what no store does.
    pub fn forgive(&self) {
        self.answers.lock().unwrap().clear();
    }
}

/// A layer that notes what reaches the application and what it answers.
fn watch(
    seen: Arc<Seen>,
) -> impl tower::Layer<
    axum::routing::Route,
    Service: tower::Service<
        Request,
        Response = axum::response::Response,
        Error = std::convert::Infallible,
        Future: Send + 'static,
    > + Clone
                 + Send
                 + Sync
                 + 'static,
> + Clone
+ Send
+ Sync
+ 'static {
    axum::middleware::from_fn(move |request: Request, next: Next| {
        let seen = seen.clone();
        async move {
            seen.requests.fetch_add(1, Ordering::SeqCst);
            let route = request
                .extensions()
                .get::<MatchedPath>()
                .map(|m| m.as_str().to_owned());
            let method = request.method().clone();
            let response = next.run(request).await;
            let media = response
                .headers()
                .get("content-type")
                .map(|v| v.to_str().unwrap().to_owned());
            if let Some(route) = route {
                seen.answers.lock().unwrap().push((
                    method,
                    route,
                    response.status().as_u16(),
                    media,
                ));
            }
            response
        }
    })
}
