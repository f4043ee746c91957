//! The files that say whom to trust, written badly while requests come: what was known holds, and nobody else gets in.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

use testkit::site::{Site, Tls, certificate, certs, key, read_to_close, request, shows};
use testkit::{Homes, rounds, wait_for};

use std::io::Write as _;

/// What a failing disk, a full one or a slip of an editor makes of a file.
fn damages(good: &[u8]) -> Vec<Vec<u8>> {
    let half = good.len() / 2;
    let mut flipped = good.to_vec();
    flipped[half] ^= 0x10;
    vec![
        Vec::new(),
        good[..half].to_vec(),
        good[..good.len() - 2].to_vec(),
        flipped,
        vec![0; good.len()],
        b"\xff\xfe\x1b[2Jgarbage".to_vec(),
        [good, good].concat(),
    ]
}

/// Puts `bytes` there at once, or bit by bit as a bad program does.
fn write(path: &Path, bytes: &[u8], atomically: bool) {
    if atomically {
        let new = path.with_extension("new");
        fs::write(&new, bytes).unwrap();
        fs::rename(new, path).unwrap();
    } else {
        let mut file = fs::File::create(path).unwrap();
        bytes
            .chunks(17)
            .for_each(|piece| file.write_all(piece).unwrap());
    }
}

#[test]
fn a_damaged_list_of_the_revoked_lets_nobody_in() {
    let (site, rounds) = (Site::of(Homes::new(&["b", "c"]), &[]), rounds(2));
    let c = certs(&site.homes, "c");
    let revoked = shows(&site.homes, vec![certificate(&c)], key(&c));
    site.homes.ok("a", &["certs", "revoke", "c"]);
    let answered = |mut stream: Tls| {
        let _ = stream.write_all(&request("GET", "/v1/health", "", b""));
        read_to_close(&mut stream).status
    };
    wait_for("c is out", || answered(site.connect(revoked.clone())) == 0);
    let path = certs(&site.homes, "a").crl();
    let good = fs::read(&path).unwrap();
    let (over, asked, tried) = (
        AtomicBool::new(false),
        AtomicUsize::new(0),
        AtomicUsize::new(0),
    );
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                assert_eq!(site.get("/v1/health").status, 200, "a member was shut out");
                asked.fetch_add(1, Ordering::SeqCst);
            }
        });
        scope.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                assert_eq!(
                    answered(site.connect(revoked.clone())),
                    0,
                    "a revoked one was let in"
                );
                tried.fetch_add(1, Ordering::SeqCst);
            }
        });
        // Ends the others too if something is wrong here.
        let _end = End(&over);
        (0..rounds).for_each(|round| damage(&site, &path, &good, &tried, round % 2 == 0));
    });
    assert!(
        looks(&site) > 0,
        "nothing was logged: {}",
        site.homes.log("a")
    );
    site.is_well();
    let (asked, tried) = (asked.into_inner(), tried.into_inner());
    eprintln!(
        "{} bad lists: {asked} requests of a member answered, {tried} of a revoked one not",
        rounds * 8
    );
}

/// Makes the list bad in every way, and good again each time. A revoked one tries to get in meanwhile.
fn damage(site: &Site, path: &Path, good: &[u8], tried: &AtomicUsize, atomically: bool) {
    let now = || tried.load(Ordering::SeqCst);
    for bytes in damages(good) {
        let looked = looks(site);
        write(path, &bytes, atomically);
        let more = now() + 3;
        wait_for("it was looked at", || {
            looks(site) > looked || now() > more + 30
        });
        wait_for("others tried", || now() > more);
        write(path, good, atomically);
    }
    fs::remove_file(path).unwrap();
    let more = now() + 30;
    wait_for("others tried", || now() > more);
    write(path, good, true);
}

/// Says that it is over, also when a test fails: who waits for it would wait for ever.
pub(crate) struct End<'a>(pub(crate) &'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// How often the peer has said that the list is bad.
fn looks(site: &Site) -> usize {
    site.homes.log("a").matches("crl.pem").count()
}
