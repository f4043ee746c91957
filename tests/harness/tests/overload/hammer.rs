//! One member that asks as fast as it can, over as many connections as it may have.

use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use colis::{id::ChunkId, wire::REQUESTS_PER_SECOND};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::watch,
    time::timeout,
};
use tokio_rustls::client::TlsStream;

use crate::{
    FAST_MS,
    good::{Good, median},
    site::{Site, background, source},
};
use testkit::stretch;

const CONNECTIONS: usize = 60;
/// Requests that are sent without waiting for answers.
const AHEAD: usize = 8;
/// Long enough to use up what a rested peer may ask at once.
const BURST: Duration = Duration::from_secs(1);

/// What came back.
#[derive(Default)]
struct Heard {
    answers: AtomicUsize,
    ends: Mutex<Vec<io::Error>>,
}

/// Hammers and rests in turn, so many times, and looks how the others fare.
pub(crate) async fn measure(turns: usize) {
    let site = Site::new();
    let good = Good::start(&site).await;
    let (hammerer, peer) = (site.member("hammer"), site.serving.address);
    let heard = Arc::new(Heard::default());
    let (working, work) = watch::channel(false);
    let runtime = background();
    for number in 0..CONNECTIONS {
        let (hammerer, heard, work) = (hammerer.clone(), heard.clone(), work.clone());
        runtime.spawn(async move {
            let tls = hammerer.connect(source(number), peer).await;
            let end = match tls {
                Ok(tls) => hammer(tls, &heard, work).await,
                Err(error) => Err(error),
            };
            heard.ends.lock().unwrap().extend(end.err());
        });
    }
    let (mut base, mut slow, window) = (Vec::new(), Vec::new(), Duration::from_secs(3));
    let mut answers = 0;
    for _ in 0..turns {
        for (is_working, times) in [(false, &mut base), (true, &mut slow)] {
            working.send(is_working).unwrap();
            tokio::time::sleep(BURST).await;
            let before = heard.answers.load(Ordering::SeqCst);
            let seen = good.watch(window).await;
            if is_working {
                answers += heard.answers.load(Ordering::SeqCst) - before;
            }
            eprintln!("hammering {is_working}: {}", seen.show());
            assert!(seen.failures.is_empty(), "{:#?}", seen.failures);
            times.push(seen.p99());
        }
    }
    let rate = answers as f64 / (window.as_secs_f64() * turns as f64);
    runtime.shutdown_background();
    let (base, slow) = (median(base), median(slow));
    eprintln!("{rate:.0} answers a second; p99 {base:.1} and {slow:.1} ms");
    let ends = heard.ends.lock().unwrap();
    assert!(ends.is_empty(), "{:?}", ends.first());
    assert!(rate < 1.5 * f64::from(REQUESTS_PER_SECOND), "{rate}");
    assert!(slow <= FAST_MS.max(2.0 * base) * stretch(), "{slow} ms");
}

/// Asks for what is there and what is not, several at a time, as long as the peer bears it.
async fn hammer(
    mut tls: TlsStream<TcpStream>,
    heard: &Heard,
    mut work: watch::Receiver<bool>,
) -> io::Result<()> {
    let id = ChunkId::of(b"not there");
    let questions = [
        format!("HEAD /v1/chunks/{id} HTTP/1.1\r\nhost: x\r\n\r\n"),
        "GET /v1/chunks?limit=1000 HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(),
        "GET /v1/nothing HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(),
        "GET /v1/health HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(),
    ];
    let ask = questions.concat().repeat(AHEAD / questions.len());
    let (mut heads, mut buffer) = (0, Vec::with_capacity(64 << 10));
    loop {
        while !*work.borrow() {
            // It would be closed for idleness.
            let rest = timeout(Duration::from_secs(5), work.changed()).await;
            if rest.is_err() {
                break;
            }
        }
        tls.write_all(ask.as_bytes()).await?;
        heads += AHEAD;
        while heads > 0 {
            buffer.clear();
            if tls.read_buf(&mut buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            // A head that is cut by the end of a read would be counted late: the peer writes each at once.
            let came = count(&buffer, b"HTTP/1.1 ");
            heads = heads.saturating_sub(came);
            heard.answers.fetch_add(came, Ordering::SeqCst);
        }
    }
}

fn count(bytes: &[u8], what: &[u8]) -> usize {
    let windows = bytes.windows(what.len());
    windows.filter(|window| *window == what).count()
}
