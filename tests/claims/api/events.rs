//! The event stream as a script sees it: real curl beside a real peer, through an arrival.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
};

use colis::wire::ServerEvent;

use testkit::Homes;
use testkit::server::PATIENCE;

#[test]
fn curl_hears_of_an_arrival_and_of_its_opening() {
    let homes = Homes::new(&["b"]);
    let peer = homes.serve("b", &[]);
    let stream = Curl::listen(&homes, &format!("https://{}/v1/events", peer.address));
    stream.until("HTTP/1.1 200");
    assert_eq!(
        stream.until("content-type:"),
        "content-type: text/event-stream"
    );
    stream.until_empty();

    fs::write(homes.path("letter"), b"hello").unwrap();
    let letter = homes.path("letter");
    homes.ok("a", &["send", letter.to_str().unwrap(), "--to", &peer.to()]);

    assert_eq!(stream.until("event:"), "event: published");
    let published = stream.data();
    let ServerEvent::Published { id, size: 5, .. } = published else {
        panic!("{published:?}")
    };
    assert_eq!(stream.until("event:"), "event: state");
    let opened = stream.data();
    assert!(
        matches!(opened, ServerEvent::State { id: i, state } if i == id && state.state == colis::store::TransferState::Opened),
        "{opened:?}"
    );
    assert_eq!(
        fs::read(homes.home("b").join("received/letter")).unwrap(),
        b"hello"
    );
}

/// curl, which prints lines as they come; ended when it is dropped.
struct Curl {
    child: Child,
    lines: Receiver<String>,
}

impl Curl {
    fn listen(homes: &Homes, url: &str) -> Self {
        let certs = homes.home("a").join("certs");
        let mut curl = Command::new("curl");
        for (option, file) in [
            ("--cacert", "ca-cert.pem"),
            ("--cert", "client-cert.pem"),
            ("--key", "client-key.pem"),
        ] {
            curl.arg(option).arg(certs.join(file));
        }
        curl.args(["--no-buffer", "--silent", "--show-error", "--include", url]);
        let mut child = curl.stdout(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (say, lines) = mpsc::channel();
        // Ends with curl, or with the test.
        thread::spawn(move || {
            out.lines()
                .map_while(Result::ok)
                .try_for_each(|line| say.send(line))
        });
        Self { child, lines }
    }

    fn line(&self) -> String {
        self.lines
            .recv_timeout(PATIENCE)
            .expect("curl says nothing more")
            .trim_end()
            .to_owned()
    }

    /// The next line that begins so.
    fn until(&self, begins: &str) -> String {
        std::iter::repeat_with(|| self.line())
            .find(|line| line.starts_with(begins))
            .unwrap()
    }

    fn until_empty(&self) {
        while !self.line().is_empty() {}
    }

    /// The event in the next line.
    fn data(&self) -> ServerEvent {
        let line = self.line();
        serde_json::from_str(line.strip_prefix("data: ").unwrap()).unwrap()
    }
}

impl Drop for Curl {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
