//! Lines about what is arriving at a peer that serves: when it begins to take a while, and now and then while it goes on.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use crate::{
    cli::{output::Output, show},
    id::{PeerId, TransferId},
    peer::PeerHandle,
    session::Event,
    wire::Arriving,
};

/// How often it is looked what is arriving.
const LOOK: Duration = Duration::from_secs(1);
/// What comes within this has only the line that says that it has come.
const LASTS: f64 = 1.0;
/// How often one transfer has a line.
const LINE_EACH: Duration = Duration::from_secs(10);
/// Lines of one look: whoever announces thousands must not scroll the others away.
const MAX_LINES: usize = 8;

/// When a transfer had its last line.
type Told = HashMap<(PeerId, TransferId), Instant>;

/// Shows what is arriving at the peer of `handle`. Never ends.
pub(super) async fn show(output: Output, handle: PeerHandle) {
    let mut told = Told::new();
    loop {
        tokio::time::sleep(LOOK).await;
        let arriving = handle.arriving().await;
        for one in due(&mut told, &arriving, Instant::now()) {
            show::tell(output, &Event::Arriving(one.clone()));
        }
    }
}

/// Those that have a line now. What does not move has none: the line that it was cut comes by itself.
fn due<'a>(told: &mut Told, arriving: &'a [Arriving], now: Instant) -> Vec<&'a Arriving> {
    let key = |one: &Arriving| (one.peer_id, one.transfer);
    told.retain(|known, _| arriving.iter().any(|one| key(one) == *known));
    let moves = |one: &&Arriving| one.seconds >= LASTS && one.idle_seconds < LASTS && one.bytes > 0;
    let mut due = Vec::new();
    for one in arriving.iter().filter(moves) {
        let last = told.get(&key(one));
        let is_due = last.is_none_or(|last| now.duration_since(*last) >= LINE_EACH);
        if is_due && due.len() < MAX_LINES {
            told.insert(key(one), now);
            due.push(one);
        }
    }
    due
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(number: u128, seconds: f64) -> Arriving {
        let transfer = TransferId::from_bytes(number.to_be_bytes());
        let peer_id = PeerId::of(b"a");
        let json = serde_json::json!({
            "peer_id": peer_id, "name": "a", "transfer": transfer, "bytes": 5, "of": 10,
            "seconds": seconds, "idle_seconds": 0.1,
        });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn what_takes_a_while_has_a_line_now_and_then_and_thousands_have_few() {
        let (mut told, start) = (Told::new(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(
            due(&mut told, &[one(1, 0.5)], at(0)).is_empty(),
            "it may be over at once"
        );
        let lines: Vec<_> = (1..=21)
            .map(|second| due(&mut told, &[one(1, second as f64)], at(second)).len())
            .collect();
        assert_eq!(lines.iter().sum::<usize>(), 3, "{lines:?}");
        let many: Vec<_> = (0..5000).map(|number| one(number, 2.0)).collect();
        assert_eq!(due(&mut told, &many, at(22)).len(), MAX_LINES);
        due(&mut told, &[], at(23));
        assert!(told.is_empty());
    }
}
