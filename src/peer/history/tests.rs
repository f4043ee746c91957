//! What is written to a history is read again, whatever else is in the file.

use std::fs;

use super::*;
use crate::{
    id::PeerId,
    peer::{DecidedBy, OpenedFiles, Waiting},
    received::NewNames,
};

#[test]
fn what_was_is_kept_in_order_and_a_torn_line_costs_only_itself() {
    let folder = tempfile::tempdir().unwrap();
    let history = History::new(folder.path());
    assert!(history.entries().unwrap().is_empty());
    let entry = |n: u8| HistoryEntry {
        at: Timestamp::from_unix_seconds(u64::from(n)),
        manifest: Some(ManifestId::of(&[n])),
        peers: vec!["ben".into()],
        bytes: 1,
        names: vec!["a".into(); 40],
        ..HistoryEntry::new(Direction::Sent, TransferId::from_bytes([n; 16]))
    };
    history.append(&entry(1)).unwrap();
    let mut file = fs::OpenOptions::new()
        .append(true)
        .open(history.path())
        .unwrap();
    file.write_all(b"{\"at\":\n").unwrap();
    history.append(&entry(2)).unwrap();
    file.write_all(b"{\"at\":").unwrap();
    history.append(&entry(3)).unwrap();
    let read = history.entries().unwrap();
    assert_eq!(read.len(), 3);
    assert_eq!(read[2].transfer, TransferId::from_bytes([3; 16]));
    assert_eq!(read[1].transfer, TransferId::from_bytes([2; 16]));
    assert_eq!(read[0].names.len(), MAX_NAMES);
}

#[test]
fn what_was_cut_or_not_taken_is_missed_until_it_comes_or_is_old() {
    let folder = tempfile::tempdir().unwrap();
    let history = History::new(folder.path());
    let now = Timestamp::from_unix_seconds(LATELY.as_secs() * 3);
    let add = |direction, n: u8, age: u64| {
        let entry = HistoryEntry {
            at: Timestamp::from_unix_seconds(now.unix_seconds() - age),
            ..HistoryEntry::new(direction, TransferId::from_bytes([n; 16]))
        };
        history.append(&entry).unwrap();
    };
    add(Direction::Cut, 1, LATELY.as_secs() + 1);
    for n in [2, 3, 3, 4] {
        add(Direction::Cut, n, 60);
    }
    add(Direction::Refused, 3, 50);
    add(Direction::Received, 2, 40);
    // Eve has sent something under the id of what was cut.
    let of = |sender: &[u8], direction, age: u64| HistoryEntry {
        at: Timestamp::from_unix_seconds(now.unix_seconds() - age),
        sender: Some(PeerId::of(sender)),
        ..HistoryEntry::new(direction, TransferId::from_bytes([5; 16]))
    };
    history.append(&of(b"ann", Direction::Cut, 60)).unwrap();
    history
        .append(&of(b"eve", Direction::Received, 50))
        .unwrap();
    let missed = history.missed(now).unwrap();
    let missed = missed.iter().map(|entry| (entry.transfer, entry.direction));
    let transfer = |n| TransferId::from_bytes([n; 16]);
    let expected = [
        (transfer(4), Direction::Cut),
        (transfer(3), Direction::Refused),
        (transfer(5), Direction::Cut),
    ];
    assert_eq!(missed.collect::<Vec<_>>(), expected);
}

/// Adds an arrival. Gives its place.
fn arrive(history: &History, n: u8, outcome: &Outcome) -> ArrivalSeq {
    let entry = HistoryEntry {
        manifest: Some(ManifestId::of(&[n])),
        ..HistoryEntry::new(Direction::Received, TransferId::from_bytes([n; 16]))
    };
    let (sender, by) = (PeerId::of(&[n]), DecidedBy::Inbox);
    let kept = Kept::of(sender, Some("ben"), by, outcome);
    history.append_arrival(&entry, &kept).unwrap()
}

fn transfers(arrivals: &[Arrival]) -> Vec<u8> {
    let transfers = arrivals
        .iter()
        .map(|arrival| arrival.transfer.as_bytes()[0]);
    transfers.collect()
}

#[test]
fn arrivals_are_read_on_from_any_place_also_one_of_another_history() {
    let folder = tempfile::tempdir().unwrap();
    let history = History::new(folder.path());
    let begin = ArrivalSeq::START;
    assert_eq!(history.arrivals_after(begin, 9).unwrap(), (vec![], begin));
    let waits = || Outcome::Waiting(Waiting::Larger { than: 7 });
    let first = arrive(&history, 1, &waits());
    // A person is told of these, and no program.
    let sent = HistoryEntry::new(Direction::Sent, TransferId::from_bytes([9; 16]));
    history.append(&sent).unwrap();
    let third = arrive(&history, 3, &waits());
    let file = fs::OpenOptions::new().append(true).open(history.path());
    file.unwrap().write_all(b"{\"at\":").unwrap();
    let torn = history.end();
    let read = |after, most| history.arrivals_after(after, most).unwrap();
    let (arrivals, next) = read(begin, 9);
    assert_eq!((transfers(&arrivals), next), (vec![1, 3], third));
    assert_eq!(arrivals[0].outcome, waits());
    assert_eq!((arrivals[0].seq, arrivals[1].seq), (first, third));
    assert_eq!(
        read(next, 9),
        (vec![], third),
        "what is not ended is not read"
    );
    let fourth = arrive(&history, 4, &waits());
    for (after, expected) in [
        (begin, vec![1, 3, 4]),
        (first, vec![3, 4]),
        (ArrivalSeq(first.0 - 1), vec![3, 4]),
        (ArrivalSeq(first.0 + 1), vec![3, 4]),
        (third, vec![4]),
        (torn, vec![4]),
        (fourth, vec![]),
        (ArrivalSeq(fourth.0 + 1), vec![1, 3, 4]),
    ] {
        assert_eq!(transfers(&read(after, 9).0), expected, "{after:?}");
    }
    let (one, next) = read(begin, 1);
    assert_eq!((transfers(&one), next), (vec![1], first));
}

#[test]
fn a_message_is_read_from_its_file_and_many_paths_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let history = History::new(folder.path());
    let path = folder.path().join("message.txt");
    fs::write(&path, "hello").unwrap();
    let mut files = OpenedFiles {
        paths: vec![path.clone()],
        more_paths: 0,
        message: Some("hello".into()),
        skipped_links: Vec::new(),
        renamed: NewNames::default(),
    };
    arrive(&history, 1, &Outcome::Opened(files.clone()));
    let log = fs::read_to_string(history.path()).unwrap();
    assert!(!log.contains("hello"), "{log}");
    let opened = |number: usize| {
        let arrivals = history.arrivals_after(ArrivalSeq::START, 9).unwrap().0;
        match arrivals[number].outcome.clone() {
            Outcome::Opened(files) => files,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(opened(0), files);
    fs::remove_file(&path).unwrap();
    assert_eq!(opened(0).message, None);
    (files.message, files.paths) = (None, vec![path; 1_003]);
    arrive(&history, 2, &Outcome::Opened(files));
    assert_eq!((opened(1).paths.len(), opened(1).more_paths), (1_000, 3));
}

#[test]
fn a_history_of_any_length_is_read_from_its_end_within_a_bound() {
    let folder = tempfile::tempdir().unwrap();
    let history = History {
        full: u64::MAX,
        ..History::new(folder.path())
    };
    let entry = |n| HistoryEntry::new(Direction::Sent, TransferId::from_bytes([n; 16]));
    history.append(&entry(1)).unwrap();
    let file = fs::OpenOptions::new().write(true).open(history.path());
    // Nothing but a hole, which is one line.
    file.unwrap().set_len(6 << 30).unwrap();
    history.append(&entry(2)).unwrap();
    let third = arrive(&history, 3, &Outcome::Waiting(Waiting::Larger { than: 7 }));
    let read = history.entries().unwrap();
    let read = read.iter().map(|entry| entry.transfer.as_bytes()[0]);
    assert_eq!(read.collect::<Vec<_>>(), [2, 3]);
    assert_eq!(history.missed(Timestamp::now()).unwrap(), []);
    let after = ArrivalSeq(third.0 - 1);
    assert_eq!(history.arrivals_after(after, 9).unwrap(), (vec![], third));
}

#[test]
fn a_history_that_is_full_forgets_the_oldest_and_followers_miss_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let full = 2_000;
    let history = History {
        full,
        ..History::new(folder.path())
    };
    let waits = || Outcome::Waiting(Waiting::Larger { than: 7 });
    let (mut places, mut followed, mut next) = (Vec::new(), Vec::new(), ArrivalSeq::START);
    for n in 0..100 {
        places.push(arrive(&history, n, &waits()));
        if n % 3 == 0 {
            let (arrivals, now) = history.arrivals_after(next, 9).unwrap();
            followed.extend(transfers(&arrivals));
            next = now;
            assert_eq!(next, history.end());
        }
    }
    assert!(places.is_sorted() && followed == (0..100).collect::<Vec<_>>());
    let state = folder.path().join("state");
    let sizes = fs::read_dir(&state).unwrap().map(|file| file.unwrap());
    let sizes: Vec<_> = sizes.map(|file| file.metadata().unwrap().len()).collect();
    assert_eq!(sizes.len(), 2, "{sizes:?}");
    assert!(sizes.iter().all(|size| *size < full + 1_000), "{sizes:?}");
    let read = history.read().unwrap();
    let kept: Vec<_> = read
        .entries
        .iter()
        .map(|e| e.transfer.as_bytes()[0])
        .collect();
    assert_eq!((kept.last(), read.unread), (Some(&99), 0));
    assert!(kept.is_sorted() && kept.len() < 30, "{kept:?}");
    let from = |after| transfers(&history.arrivals_after(after, 200).unwrap().0);
    assert_eq!(from(ArrivalSeq::START), kept, "the oldest that it has");
    for (n, place) in places.iter().enumerate().skip(usize::from(kept[0])) {
        let expected: Vec<u8> = kept
            .iter()
            .copied()
            .filter(|k| usize::from(*k) > n)
            .collect();
        assert_eq!(from(*place), expected, "after {n}");
    }
    assert_eq!(from(places[3]), kept, "what was after it is forgotten");
    assert_eq!(
        from(ArrivalSeq(places[99].0 + 1)),
        kept,
        "of another history"
    );
}

#[test]
fn writers_beside_each_other_lose_nothing_where_a_file_is_put_aside() {
    let folder = tempfile::tempdir().unwrap();
    let history = History {
        full: 20_000,
        ..History::new(folder.path())
    };
    let count = 40;
    std::thread::scope(|scope| {
        for writer in 0..4_u8 {
            let history = &history;
            scope.spawn(move || {
                for n in 0..count {
                    let transfer = TransferId::from_bytes([writer * count + n; 16]);
                    let entry = HistoryEntry::new(Direction::Sent, transfer);
                    history.append(&entry).unwrap();
                }
            });
        }
    });
    let read = history.read().unwrap();
    let mut kept: Vec<_> = read
        .entries
        .iter()
        .map(|e| e.transfer.as_bytes()[0])
        .collect();
    kept.sort_unstable();
    assert_eq!((kept, read.unread), ((0..4 * count).collect(), 0));
}
