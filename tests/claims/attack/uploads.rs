//! Uploads that stop anywhere, and many of one chunk at once: what is there is whole, and nothing else is left.

use std::{
    io::Write as _,
    net::Shutdown,
    sync::{
        Barrier,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use colis::{id::ChunkId, wire::Code};
use socket2::SockRef;

use testkit::site::{Site, Tls, raw, read_to_close, request};
use testkit::{bytes, rounds, tree};

const MIB: usize = 1 << 20;
const STEP: usize = 64 << 10;
/// A peer reads so many requests of one caller at once.
const AT_ONCE: usize = 4;

#[test]
fn a_body_that_is_cut_anywhere_leaves_nothing() {
    let (site, cuts) = (Site::default(), rounds(192));
    let sealed = bytes(5, MIB);
    let id = ChunkId::of(&sealed);
    let before = everything(&site);
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(number) =
                    Some(next.fetch_add(1, Ordering::SeqCst)).filter(|n| *n < cuts)
                {
                    cut(&site, id, &sealed, number);
                }
            });
        }
    });
    let path = format!("/v1/chunks/{id}");
    site.get(&path).is(Code::NoSuchChunk, "what was cut");
    assert_eq!(everything(&site), before, "something was left");
    assert_eq!(site.put_chunk(&sealed).1.status, 201);
    site.is_well();
    eprintln!("{cuts} bodies cut, nothing left");
}

/// Every file of the store, whatever its name, but for the lock, which says who serves.
fn everything(site: &Site) -> Vec<String> {
    let mut found = tree(&site.homes.home("a").join("chunks"));
    found.retain(|line| !line.contains("LOCK"));
    found
}

/// Sends a part of the chunk and goes, in one of three ways.
fn cut(site: &Site, id: ChunkId, sealed: &[u8], number: usize) {
    let length = number / 3 % (MIB / STEP) * STEP;
    let header = format!("content-length: {MIB}\r\n");
    let begun = raw(
        "PUT",
        &format!("/v1/chunks/{id}"),
        &header,
        &sealed[..length],
    );
    let mut stream = site.connect(site.member());
    stream.write_all(&begun).unwrap();
    match number % 3 {
        0 => {
            stream.conn.send_close_notify();
            stream.flush().unwrap();
            stream.sock.shutdown(Shutdown::Write).unwrap();
            let answer = read_to_close(&mut stream);
            assert!(
                answer.status == 0 || answer.status == 400,
                "{}",
                answer.head
            );
        }
        1 => drop(stream),
        _ => SockRef::from(&stream.sock)
            .set_linger(Some(Duration::ZERO))
            .unwrap(),
    }
}

#[test]
fn sixty_four_uploads_of_one_chunk_at_once_store_it_once() {
    let (site, rounds) = (Site::default(), rounds(6));
    let mut refused = 0;
    for round in 0..rounds {
        let good = bytes(round as u64 + 100, STEP);
        let mut wrong = good.clone();
        wrong[round % STEP] ^= 1;
        let path = format!("/v1/chunks/{}", ChunkId::of(&good));
        let put = [&good, &wrong].map(|body| request("PUT", &path, "", body));
        // Connections come one by one: strangers of one address have few handshakes at a time.
        let streams: Vec<_> = (0..64).map(|_| shaken(&site)).collect();
        let start = Barrier::new(streams.len());
        let put = |(number, mut stream): (usize, Tls)| {
            start.wait();
            stream.write_all(&put[number % 2]).unwrap();
            (number % 2 == 0, read_to_close(&mut stream).status)
        };
        let answers: Vec<_> = thread::scope(|scope| {
            let put = &put;
            let spawn = |numbered| scope.spawn(move || put(numbered));
            let threads: Vec<_> = streams.into_iter().enumerate().map(spawn).collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        let count = |what| answers.iter().filter(|answer| **answer == what).count();
        // More than its share of a peer at once is refused, whatever it is.
        let busy = [(true, 429), (true, 503), (false, 429), (false, 503)]
            .map(count)
            .iter()
            .sum::<usize>();
        let (new, there, unequal) = (count((true, 201)), count((true, 200)), count((false, 422)));
        assert_eq!(new + there + unequal + busy, 64, "{answers:?}");
        assert_eq!(new, 1, "{answers:?}");
        assert!(unequal > 0, "{answers:?}");
        assert_eq!(site.get(&path).body, good);
        refused += busy;
    }
    let files = site
        .stored()
        .iter()
        .filter(|line| line.starts_with("file"))
        .count();
    assert_eq!(files, rounds);
    site.is_well();
    eprintln!(
        "{} uploads in {rounds} rounds, {refused} of them refused as too many",
        rounds * 64
    );
}

/// A connection that has passed its handshake.
fn shaken(site: &Site) -> Tls {
    let mut stream = site.connect(site.member());
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock).unwrap();
    }
    stream
}
