//! Names that are taken: what is told of them, to whom, and what it costs.

use tokio::io::duplex;

use super::{
    super::super::{
        card::{self, Taken},
        exchange::{Channel, Dialect},
        joiner::{self, IfTaken},
        tests::{CHANNEL, CODE, From, HERE, Site, between, run},
    },
    *,
};

#[test]
fn a_name_that_is_taken_costs_no_code_and_another_is_taken_over_the_same_channel() {
    let site = Site::new();
    let house = site.house();
    let mut wish = site.wish(CODE);
    wish.name = "a".into();
    let mut proposals = Vec::new();
    let (met, joined) = run(between(&house, &wish, |_, frame| {
        if frame.kind == Kind::Taken {
            let taken: Taken = card::parse(&frame.body).unwrap();
            assert!(taken.reason.contains('a'), "{}", taken.reason);
            proposals.push(taken.free.unwrap());
        }
    }));
    assert_eq!(proposals, ["a-2"]);
    assert_eq!(met.unwrap().name, "a-2");
    assert_eq!(joined.unwrap().identity.name(), "a-2");
}

#[test]
fn a_name_that_must_be_that_one_is_refused_with_a_free_one_and_the_code_still_counts() {
    let site = Site::new();
    let house = site.house();
    for (name, proposed) in [("a", "a-2"), ("a.b", "a-b"), ("localhost", "localhost-2")] {
        let mut wish = site.wish(CODE);
        wish.name = name.into();
        wish.if_taken = IfTaken::Fail;
        let (met, joined) = run(between(&house, &wish, |_, _| {}));
        assert!(matches!(met, Err(PairError::Tls(_))), "{met:?}");
        let Err(PairError::NameTaken { free, .. }) = joined else {
            panic!("{name} is taken");
        };
        assert_eq!(free.as_deref(), Some(proposed));
        site.is_untouched();
    }
    let (met, joined) = run(between(&house, &site.wish(CODE), |_, _| {}));
    assert!(met.is_ok() && joined.is_ok(), "{met:?}");
}

/// Whoever does not know the code must not learn who is in the circle.
#[test]
fn no_name_is_told_before_the_code_is_proved() {
    let site = Site::new();
    let house = site.house();
    let mut wish = site.wish("8-lotus-castor");
    wish.name = "a".into();
    let mut told = Vec::new();
    let (met, _) = run(between(&house, &wish, |from, frame| {
        if from == From::Inviter {
            told.push(frame.kind);
        }
    }));
    assert!(matches!(met, Err(PairError::WrongCode { left: 2 })));
    assert_eq!(told, [Kind::Hello, Kind::Refusal]);
}

/// A peer of the first version of the protocol knows no other names: it gets the refusal that it knows.
#[test]
fn a_machine_of_the_first_version_is_refused_as_it_understands() {
    let site = Site::new();
    let house = site.house();
    let mut wish = site.wish(CODE);
    wish.name = "a".into();
    let first = Channel {
        dialect: Dialect::First,
        ..CHANNEL
    };
    let (mut near, mut far) = duplex(1 << 20);
    let (met, joined) = run(async {
        tokio::join!(
            house.meet(&mut far, &first, HERE),
            joiner::meet(&mut near, &first, &wish, HERE)
        )
    });
    assert!(matches!(met, Err(PairError::Tls(_))), "{met:?}");
    assert!(matches!(joined, Err(PairError::Refused { .. })));
    site.is_untouched();
}

/// Who proposes must end: a machine that gets nothing but proposals gives up.
#[test]
fn proposals_of_names_end() {
    let site = Site::new();
    let house = site.house();
    let mut wish = site.wish(CODE);
    wish.name = "a".into();
    let (met, joined) = run(between(&house, &wish, |_, frame| {
        if frame.kind == Kind::OtherName {
            frame.body = br#"{"name":"a"}"#.to_vec();
        }
    }));
    assert!(matches!(met, Err(PairError::Tls(_))), "{met:?}");
    assert!(joined.is_err());
    site.is_untouched();
}
