//! Two programs that pair by the library, without a terminal.

use std::{
    net::TcpStream,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use colis::{
    config::Config,
    session::{
        Event, Home, Reporter, Silent,
        pair::{InviteRequest, Inviting, JoinRequest, Joining, ShownCode, make_circle},
    },
};
use tokio::time::timeout;

/// Keeps what it is told.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<Event>>>);

impl Told {
    fn reporter(&self) -> Arc<dyn Reporter> {
        let told = self.clone();
        Arc::new(move |event: &Event| told.0.lock().unwrap().push(event.clone()))
    }

    /// The names of the events, in their order.
    fn names(&self) -> Vec<String> {
        let told = self.0.lock().unwrap();
        let objects = told
            .iter()
            .map(|event| serde_json::to_value(event).unwrap());
        objects
            .map(|object| object["event"].as_str().unwrap().to_owned())
            .collect()
    }

    fn code(&self) -> ShownCode {
        let told = self.0.lock().unwrap();
        let code = told.iter().find_map(|event| match event {
            Event::Code(shown) => Some(shown.clone()),
            _ => None,
        });
        code.unwrap()
    }
}

fn on_loopback() -> Config {
    Config {
        listen: Some(([127, 0, 0, 1], 8443).into()),
        ..Config::default()
    }
}

fn home(folder: &Path, name: &str) -> Home {
    Home::resolve(Some(&folder.join(name))).unwrap()
}

/// A code that is shown by the home `a`, which has made the circle.
async fn inviting(folder: &Path, told: &Told) -> Inviting {
    let a = home(folder, "a");
    let made = |name| make_circle(&a, name, &Silent).unwrap();
    assert_eq!(made(Some("a")).unwrap().name, "a");
    assert!(made(None).is_none(), "there is one");
    let mut request = InviteRequest::default();
    request.port = Some(0);
    let started = Inviting::start(&a, &on_loopback(), &told.reporter(), request).await;
    started.unwrap()
}

#[tokio::test]
async fn each_step_of_two_programs_that_pair_is_an_event() {
    let folder = tempfile::tempdir().unwrap();
    let (told, told_b) = (Told::default(), Told::default());
    let mut inviting = inviting(folder.path(), &told).await;
    let shown = told.code();
    let debug = format!("{:?}", told.0.lock().unwrap());
    assert!(!debug.contains(&shown.code), "{debug}");
    let (b, host) = (home(folder.path(), "b"), shown.hosts[0].clone());
    let joining = async {
        let mut request = JoinRequest::of(host.parse().unwrap());
        request.name = Some("b".into());
        let found = Joining::find(&b, &on_loopback(), &told_b.reporter(), request).await;
        let joining = found.unwrap();
        let (number, words) = shown.code.split_once('-').unwrap();
        let wrong = number.parse::<u8>().unwrap() % 64 + 1;
        let wrong = format!("{wrong}-{words}").parse().unwrap();
        joining.join(wrong).await.unwrap_err();
        assert!(!b.certs().exists() && !joining.is_last_step());
        joining.join(shown.code.parse().unwrap()).await.unwrap()
    };
    let (paired, joined) = tokio::join!(inviting.paired(), joining);
    inviting.finish().await.unwrap();
    let paired = paired.unwrap();
    assert_eq!((joined.name.as_str(), joined.issuer.as_str()), ("b", "a"));
    assert_eq!(paired.peer.peer_id, joined.peer_id);
    assert_eq!(told.names(), ["code", "wrong-code"]);
    assert!(told_b.names().is_empty());
}

#[tokio::test]
async fn a_code_whose_future_is_dropped_counts_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let told = Told::default();
    let mut inviting = inviting(folder.path(), &told).await;
    let address = told.code().hosts[0].clone();
    drop(TcpStream::connect(&address).unwrap());
    let waited = timeout(Duration::from_millis(1), inviting.paired()).await;
    assert!(waited.is_err());
    assert!(TcpStream::connect(&address).is_err());
    assert!(inviting.paired().await.is_err());
    inviting.finish().await.unwrap();
}
