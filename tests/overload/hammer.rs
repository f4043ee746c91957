//! One member that asks as fast as it can, over as many connections as it may have.

use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use colis::id::ChunkId;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::client::TlsStream;

use crate::{
    FAST_MS,
    good::{Good, median},
    site::{Site, background, source},
};

const CONNECTIONS: usize = 60;
/// Requests that are sent without waiting for answers.
const AHEAD: usize = 8;
const RETRY_AFTER: &[u8] = b"HTTP/1.1 429 ";

/// What came back.
#[derive(Default)]
struct Heard {
    answers: AtomicUsize,
    turned_away: AtomicUsize,
    ends: Mutex<Vec<io::Error>>,
}

/// Hammers for `windows` of five seconds, and looks how the others fare.
pub(crate) async fn measure(windows: usize) {
    let site = Site::new();
    let good = Good::start(&site).await;
    let base = good.watch(Duration::from_secs(5)).await;
    eprintln!("before: {}", base.show());
    let (hammerer, peer) = (site.member("hammer"), site.serving.address);
    let heard = Arc::new(Heard::default());
    let runtime = background();
    for number in 0..CONNECTIONS {
        let (hammerer, heard) = (hammerer.clone(), heard.clone());
        runtime.spawn(async move {
            let tls = hammerer.connect(source(number), peer).await;
            let end = match tls {
                Ok(tls) => hammer(tls, &heard).await,
                Err(error) => Err(error),
            };
            heard.ends.lock().unwrap().extend(end.err());
        });
    }
    let begun = Instant::now();
    let mut slow = Vec::new();
    for _ in 0..windows {
        let seen = good.watch(Duration::from_secs(5)).await;
        eprintln!("meanwhile: {}", seen.show());
        assert!(seen.failures.is_empty(), "{:#?}", seen.failures);
        slow.push(seen.p99());
    }
    let count = |number: &AtomicUsize| number.load(Ordering::SeqCst);
    let (answers, turned_away) = (count(&heard.answers), count(&heard.turned_away));
    let rate = answers as f64 / begun.elapsed().as_secs_f64();
    runtime.shutdown_background();
    eprintln!("{rate:.0} answers a second, {turned_away} of {answers} turned away");
    let ends = heard.ends.lock().unwrap();
    assert!(ends.is_empty(), "{:?}", ends.first());
    assert!(turned_away > 0, "it was never too much");
    let slow = median(slow);
    assert!(slow <= FAST_MS.max(2.0 * base.p99()), "{slow} ms");
}

/// Asks for what is there and what is not, several at a time, as long as the peer bears it.
async fn hammer(mut tls: TlsStream<TcpStream>, heard: &Heard) -> io::Result<()> {
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
            let away = count(&buffer, RETRY_AFTER);
            heard.turned_away.fetch_add(away, Ordering::SeqCst);
        }
    }
}

fn count(bytes: &[u8], what: &[u8]) -> usize {
    let windows = bytes.windows(what.len());
    windows.filter(|window| *window == what).count()
}
