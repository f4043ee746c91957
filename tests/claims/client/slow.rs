//! Answers that stall, trickle or break off; what helps is tried again, the rest is not.

use std::time::{Duration, Instant};

use colis::{
    store::{Put, Store as _, StoreError},
    wire::media,
};
use tokio::time::timeout;

use super::{
    error_of,
    evil::{Act, Evil, answer, head},
};
use testkit::server::{PATIENCE, transfer::chunk};

const STORED: &str = r#"{"result":"stored"}"#;

fn half(sealed: &[u8]) -> Vec<u8> {
    let mut half = head("200 OK", media::CHUNK, sealed.len());
    half.extend_from_slice(&sealed[..sealed.len() / 2]);
    half
}

fn busy(retry_after: &str) -> Vec<u8> {
    let body = r#"{"type":"urn:colis:problem:busy","code":"busy","title":"","status":503,"detail":"later"}"#;
    format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\n\
         retry-after: {retry_after}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn is_network(error: &StoreError) {
    assert!(matches!(error, StoreError::Network { .. }), "{error:?}");
}

#[tokio::test]
async fn a_chunk_that_was_cut_in_the_middle_is_fetched_again() {
    let (id, sealed) = chunk(7, 100_000);
    let whole = answer("200 OK", media::CHUNK, &sealed);
    let evil = Evil::start([Act::Cut(half(&sealed)), Act::Answer(whole)]).await;
    assert!(evil.client(1).get_chunk(id).await.unwrap() == sealed);
    assert_eq!((evil.requests(), evil.connections()), (2, 2));
}

#[tokio::test]
async fn a_chunk_that_stalls_moves_to_another_connection() {
    let (id, sealed) = chunk(7, 100_000);
    let whole = || Act::Answer(answer("200 OK", media::CHUNK, &sealed));
    for stalled in [half(&sealed), Vec::new()] {
        let evil = Evil::start([Act::Stall(stalled), whole()]).await;
        let given = timeout(PATIENCE, evil.client(1).get_chunk(id))
            .await
            .unwrap();
        assert!(given.unwrap() == sealed);
        assert_eq!((evil.requests(), evil.connections()), (2, 2));
    }
}

#[tokio::test]
async fn a_put_whose_answer_was_lost_is_put_again() {
    let (id, sealed) = chunk(7, 100_000);
    let there = answer("200 OK", media::JSON, r#"{"result":"already-there"}"#);
    let evil = Evil::start([Act::Cut(Vec::new()), Act::Answer(there)]).await;
    let put = evil.client(1).put_chunk(id, sealed, None).await.unwrap();
    assert_eq!(put, Put::AlreadyThere);
}

#[tokio::test]
async fn what_fails_each_time_is_given_up() {
    let evil = Evil::start([]).await;
    is_network(&error_of(evil.client(3).health()).await);
    assert_eq!(evil.requests(), 4);
}

#[tokio::test]
async fn a_renewal_is_asked_for_once() {
    let evil = Evil::start([]).await;
    is_network(&error_of(evil.client(3).renew("request")).await);
    assert_eq!(evil.requests(), 1);
}

#[tokio::test]
async fn a_busy_peer_is_asked_again_when_it_says() {
    let (id, sealed) = chunk(7, 1000);
    let stored = answer("201 Created", media::JSON, STORED);
    let evil = Evil::start([Act::Answer(busy("1")), Act::Answer(stored)]).await;
    let begun = Instant::now();
    let put = evil.client(1).put_chunk(id, sealed, None).await.unwrap();
    assert_eq!(put, Put::Stored);
    assert!(begun.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn a_busy_peer_cannot_put_us_to_sleep_for_long() {
    for (text, expected) in [("999999999999", 60), ("60", 60), ("later", 1), ("-1", 1)] {
        let evil = Evil::start([Act::Answer(busy(text))]).await;
        let error = error_of(evil.client(0).health()).await;
        assert!(
            matches!(error, StoreError::Busy { seconds, .. } if seconds == expected),
            "{text}: {error:?}"
        );
    }
}

#[tokio::test]
async fn a_trickle_is_given_up() {
    let (id, _) = chunk(7, 1000);
    let drip = |media_type| {
        let announced = head("200 OK", media_type, 1000);
        Act::Drip(announced, Duration::from_millis(50))
    };
    let evil = Evil::start([drip(media::CHUNK), drip(media::JSON)]).await;
    is_network(&error_of(evil.client(0).get_chunk(id)).await);
    is_network(&error_of(evil.client(0).health()).await);
}

#[tokio::test]
async fn a_trickle_of_headers_is_given_up() {
    let announced = b"HTTP/1.1 200 OK\r\nx: ".to_vec();
    let evil = Evil::start([Act::Drip(announced, Duration::from_millis(50))]).await;
    is_network(&error_of(evil.client(0).health()).await);
}

#[tokio::test]
async fn a_problem_that_trickles_is_given_up() {
    let announced = head("503 Service Unavailable", media::PROBLEM, 1000);
    let evil = Evil::start([Act::Drip(announced, Duration::from_millis(50))]).await;
    error_of(evil.client(0).health()).await;
}

#[tokio::test]
async fn a_large_chunk_over_a_slow_link_is_not_given_up() {
    let (id, sealed) = chunk(7, 4 << 20);
    let stored = answer("201 Created", media::JSON, STORED);
    let slowly = Act::SlowlyTaken(PATIENCE / 160, stored);
    let evil = Evil::start([slowly]).await;
    let begun = Instant::now();
    let put = evil.client(0).put_chunk(id, sealed, None).await;
    assert_eq!(put.unwrap(), Put::Stored);
    // Longer than any pause may be: that is what this test is about.
    assert!(begun.elapsed() > PATIENCE / 10);
}
