//! What is remembered of transfers on their way, and what is not.

use super::*;

/// The offer of a transfer that is said to have so many bytes.
fn said(transfer: TransferId, size: Option<u64>) -> Announced {
    let (sender, chunk_size) = (PeerId::of(b"a"), 64 << 10);
    Announced {
        sender,
        transfer,
        size,
        chunk_size,
    }
}

/// A chunk of so many new bytes.
fn new(bytes: u64) -> CameIn {
    CameIn {
        index: None,
        new: Some(bytes),
    }
}

fn transfer(number: usize) -> TransferId {
    TransferId::from_bytes((number as u128).to_be_bytes())
}

#[test]
fn a_resumed_transfer_counts_what_came_since_it_was_resumed() {
    let (arrivals, by, id) = (Arrivals::default(), PeerId::of(b"a"), transfer(1));
    arrivals.came(by, "a", id, new(100)); // its table, before the offer
    arrivals.offered(by, "a", said(id, None));
    arrivals.came(by, "a", id, new(100));
    let there = CameIn {
        new: None,
        ..new(100)
    };
    arrivals.came(by, "a", id, there);
    assert_eq!(arrivals.lock()[&(by, id)].chunks, 2);
    arrivals.offered(by, "a", said(id, None));
    arrivals.came(by, "a", id, new(50));
    assert!(
        arrivals.complete(PeerId::of(b"b"), id).is_none(),
        "brought by another"
    );
    let arrival = arrivals.complete(by, id).unwrap();
    assert_eq!((arrival.chunks, arrival.bytes), (1, 50));
    assert!(arrival.rate().unwrap().ends_with("B/s"));
    assert!(arrivals.complete(by, id).is_none());
}

#[test]
fn memory_is_bounded_and_what_moves_stays() {
    let (arrivals, by) = (Arrivals::default(), PeerId::of(b"a"));
    for number in 0..3 * MAX_ARRIVALS {
        arrivals.offered(by, "a", said(transfer(number), None));
        arrivals.came(by, "a", transfer(0), new(1));
    }
    assert_eq!(arrivals.lock().len(), MAX_OF_PEER);
    assert_eq!(
        arrivals.complete(by, transfer(0)).unwrap().chunks,
        3 * MAX_ARRIVALS as u64
    );
    assert!(arrivals.complete(by, transfer(1)).is_none());
}

#[test]
fn what_was_cancelled_stays_so_whatever_its_bringer_does() {
    let (arrivals, by, id) = (Arrivals::default(), PeerId::of(b"a"), transfer(0));
    arrivals.offered(by, "a", said(id, Some(100)));
    assert_eq!(arrivals.cancel(id, None).unwrap().len(), 1);
    arrivals.forget(by, id);
    arrivals.offered(by, "a", said(id, Some(100)));
    for number in 1..3 * MAX_ARRIVALS {
        arrivals.offered(by, "a", said(transfer(number), None));
    }
    assert!(
        arrivals
            .take_cut(|_, _| true)
            .iter()
            .all(|cut| cut.transfer != id)
    );
    assert!(arrivals.check_wanted(by, id).is_err());
    assert!(arrivals.check_wanted(by, transfer(1)).is_ok());
    assert!(arrivals.cancel(id, None).unwrap().is_empty(), "once");
}

#[test]
fn what_moves_is_not_cut_and_what_was_cut_is_told_once() {
    let (arrivals, by) = (Arrivals::default(), PeerId::of(b"a"));
    arrivals.came(by, "a", transfer(1), new(70));
    arrivals.offered(by, "a", said(transfer(1), Some(100)));
    let cut = |longest| arrivals.take_cut(|_, idle| idle >= longest);
    assert!(cut(Duration::from_secs(3600)).is_empty());
    let [cut_now] = cut(Duration::ZERO).try_into().unwrap();
    let Cut {
        name, bytes, of, ..
    } = cut_now;
    assert_eq!((name.as_str(), bytes, of), ("a", 70, Some(100)));
    assert!(cut(Duration::ZERO).is_empty());
}

#[test]
fn whoever_announces_thousands_pushes_out_its_own() {
    let (arrivals, ann, eve) = (Arrivals::default(), PeerId::of(b"a"), PeerId::of(b"eve"));
    arrivals.offered(ann, "ann", said(transfer(0), Some(100)));
    for number in 1..5_000 {
        arrivals.offered(eve, "eve", said(transfer(number), Some(1)));
    }
    let id = |number: u64| ChunkId::of(&number.to_be_bytes());
    let all = arrivals.all();
    assert_eq!(all.len(), MAX_OF_PEER + 1);
    assert!(all.iter().any(|one| one.peer_id == ann));
    for number in 0..3 * MAX_CHUNKS as u64 {
        arrivals.comes(eve, "eve", transfer(1), id(number));
    }
    let ids = |arrivals: &Arrivals| {
        arrivals
            .lock()
            .values()
            .map(|one| one.ids.len())
            .sum::<usize>()
    };
    assert_eq!(ids(&arrivals), MAX_CHUNKS);
}

#[test]
fn a_length_that_lies_shows_no_more_than_it_says() {
    let (arrivals, by, id) = (Arrivals::default(), PeerId::of(b"a"), transfer(1));
    let index = |index| CameIn {
        index: Some(index),
        ..new(64 << 10)
    };
    arrivals.offered(by, "a", said(id, Some(100_000)));
    arrivals.came(by, "a", id, index(0));
    let shown = |arrivals: &Arrivals| arrivals.all().remove(0);
    let one = shown(&arrivals);
    assert_eq!(
        (one.done, one.chunks, one.of_chunks),
        (64 << 10, 1, Some(2))
    );
    arrivals.came(by, "a", id, index(u64::MAX));
    let one = shown(&arrivals);
    assert_eq!((one.done, one.chunks, one.of_chunks), (100_000, 2, Some(2)));
    assert!(one.seconds_left.is_none_or(|left| left == 0));
    for size in [u64::MAX, u64::MAX - 5, 0] {
        arrivals.offered(by, "a", said(id, Some(size)));
        arrivals.came(by, "a", id, index(3));
        assert!(shown(&arrivals).done <= size);
    }
}

#[test]
fn what_was_stopped_is_stopped_whoever_brings_it_and_another_senders_is_not() {
    let (arrivals, carrier, id) = (Arrivals::default(), PeerId::of(b"carrier"), transfer(1));
    let sender = said(id, None).sender;
    arrivals.offered(carrier, "carrier", said(id, Some(100)));
    arrivals.comes(carrier, "carrier", id, ChunkId::of(b"70"));
    arrivals.came(carrier, "carrier", id, new(70));
    let [cut] = arrivals.cancel(id, None).unwrap().try_into().unwrap();
    assert_eq!(cut.chunks, [ChunkId::of(b"70")]);
    let other = PeerId::of(b"another");
    assert!(arrivals.check_wanted_of(carrier, sender, id).is_err());
    assert!(arrivals.check_wanted_of(other, sender, id).is_err());
    assert!(arrivals.check_wanted_of(sender, sender, id).is_err());
    assert!(
        arrivals.check_wanted_of(other, other, id).is_ok(),
        "a transfer of its own"
    );
    assert!(arrivals.check_wanted_of(other, sender, transfer(2)).is_ok());
}

#[test]
fn an_id_of_several_senders_is_stopped_for_the_one_that_is_named() {
    let (arrivals, ann, eve, id) = (
        Arrivals::default(),
        PeerId::of(b"a"),
        PeerId::of(b"eve"),
        transfer(1),
    );
    arrivals.offered(ann, "ann", said(id, Some(100)));
    // Eve announces nothing, and brings chunks under the id of ann's.
    arrivals.came(eve, "eve", id, new(70));
    arrivals.cancel(id, None).unwrap_err();
    assert!(arrivals.check_wanted(ann, id).is_ok() && arrivals.check_wanted(eve, id).is_ok());
    let [cut] = arrivals.cancel(id, Some(eve)).unwrap().try_into().unwrap();
    assert_eq!((cut.peer, cut.sender), (eve, eve));
    assert!(arrivals.check_wanted(eve, id).is_err());
    assert!(arrivals.check_wanted_of(ann, ann, id).is_ok());
    // Now it is ann's alone.
    let [cut] = arrivals.cancel(id, None).unwrap().try_into().unwrap();
    assert_eq!(cut.sender, ann);
}
