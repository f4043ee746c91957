//! The parsers of foreign bytes over the inputs that are kept in `fuzz/corpus`, and over changes of these.
//!
//! `COLIS_ROUNDS=N` says how many changes for each parser. `.ci/fuzz` looks further, led by what the code does.

use std::{collections::BTreeSet, fs, path::PathBuf};

use proptest::{
    collection::vec,
    prelude::*,
    sample::{Index, select},
    test_runner::{Config, TestRunner},
};

use parsers::TARGETS;

fn corpus() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus")
}

fn kept(target: &str) -> Vec<Vec<u8>> {
    let files = fs::read_dir(corpus().join(target)).unwrap();
    files
        .map(|entry| fs::read(entry.unwrap().path()).unwrap())
        .collect()
}

#[test]
fn every_kept_input_is_taken_or_refused_and_breaks_nothing() {
    let folders = fs::read_dir(corpus()).unwrap();
    let folders: BTreeSet<_> = folders
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let names = TARGETS.map(|(name, _)| name.to_owned());
    assert_eq!(folders, BTreeSet::from(names));
    for (name, target) in TARGETS {
        let inputs = kept(name);
        assert!(inputs.len() >= 3, "{name} has {} inputs", inputs.len());
        inputs.iter().for_each(|input| target(input));
    }
}

/// What is done to an input.
#[derive(Debug, Clone)]
enum Change {
    Flip(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    Repeat(Index, usize),
    Cut(Index),
}

impl Change {
    fn any() -> impl Strategy<Value = Self> {
        let at = any::<Index>;
        prop_oneof![
            (at(), 1_u8..).prop_map(|(at, mask)| Self::Flip(at, mask)),
            (at(), vec(any::<u8>(), 1..9)).prop_map(|(at, bytes)| Self::Insert(at, bytes)),
            (
                at(),
                select(vec![
                    "\"", "{", "[", "/", "..", "\0", "\n", "-", "1e9", "null", "\u{202e}"
                ])
            )
                .prop_map(|(at, text)| Self::Insert(at, text.as_bytes().to_vec())),
            (at(), 1_usize..40).prop_map(|(at, count)| Self::Remove(at, count)),
            (at(), 1_usize..200).prop_map(|(at, count)| Self::Repeat(at, count)),
            at().prop_map(Self::Cut),
        ]
    }

    fn apply(&self, bytes: &mut Vec<u8>) {
        let place = |at: &Index| at.index(bytes.len() + 1);
        match self {
            Self::Flip(at, mask) => {
                let place = place(at);
                if let Some(byte) = bytes.get_mut(place) {
                    *byte ^= mask;
                }
            }
            Self::Insert(at, new) => {
                let place = place(at);
                bytes.splice(place..place, new.iter().copied());
            }
            Self::Remove(at, count) => {
                let place = place(at);
                bytes.drain(place..(place + count).min(bytes.len()));
            }
            Self::Repeat(at, count) => {
                let place = place(at);
                let part = bytes[place..(place + count).min(bytes.len())].to_vec();
                bytes.splice(place..place, part);
            }
            Self::Cut(at) => bytes.truncate(place(at)),
        }
    }
}

#[test]
fn no_change_of_a_kept_input_breaks_a_parser() {
    let cases = testkit::rounds(300);
    for (name, target) in TARGETS {
        let changed =
            (select(kept(name)), vec(Change::any(), 1..8)).prop_map(|(mut bytes, changes)| {
                changes.iter().for_each(|change| change.apply(&mut bytes));
                bytes
            });
        let config = Config {
            cases,
            failure_persistence: None,
            ..Config::default()
        };
        let run = TestRunner::new(config).run(&changed, |bytes| {
            target(&bytes);
            Ok(())
        });
        run.unwrap_or_else(|failed| panic!("{name}: {failed}"));
    }
}
