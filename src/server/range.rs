//! Which bytes of a chunk are asked for (RFC 9110 section 14).

use std::ops::Range;

use axum::http::{HeaderMap, header};
use http_range_header::{EndPosition, StartPosition, parse_range_header};

/// What to send.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Everything: there is no `Range`, or one that a server may ignore.
    Whole,
    /// These bytes.
    Part(Range<usize>),
    /// Nothing of what was asked is there.
    Unsatisfiable,
}

/// Reads `Range` and `If-Range`, for a representation of `length` bytes named `etag`. Malformed ranges, other units and
/// several ranges at once are ignored.
pub(super) fn wanted(headers: &HeaderMap, etag: &str, length: usize) -> Wanted {
    let other = headers
        .get(header::IF_RANGE)
        .is_some_and(|v| v.as_bytes() != etag.as_bytes());
    let range = headers.get(header::RANGE).and_then(|v| v.to_str().ok());
    let parsed = range
        .filter(|_| !other)
        .and_then(|r| parse_range_header(r).ok());
    match parsed.as_ref().map(|p| p.ranges.as_slice()) {
        Some([one]) => resolve(&one.start, &one.end, length as u64),
        _ => Wanted::Whole,
    }
}

fn resolve(start: &StartPosition, end: &EndPosition, length: u64) -> Wanted {
    let first = match start {
        StartPosition::Index(first) => *first,
        StartPosition::FromLast(count) => length.saturating_sub(*count),
    };
    let last = match end {
        EndPosition::Index(last) if *last < first => return Wanted::Whole,
        EndPosition::Index(last) => (*last).min(length.saturating_sub(1)),
        EndPosition::LastByte => length.saturating_sub(1),
    };
    if first >= length {
        return Wanted::Unsatisfiable;
    }
    match (usize::try_from(first), usize::try_from(last)) {
        (Ok(first), Ok(last)) => Wanted::Part(first..last + 1),
        _ => Wanted::Unsatisfiable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_ten(range: &'static str) -> Wanted {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, range.parse().unwrap());
        wanted(&headers, "\"x\"", 10)
    }

    #[test]
    fn a_range_is_what_the_rfc_says() {
        for (range, part) in [
            ("bytes=0-", 0..10),
            ("bytes=2-4", 2..5),
            ("bytes=9-100", 9..10),
            ("bytes=-3", 7..10),
            ("bytes=-30", 0..10),
        ] {
            assert_eq!(of_ten(range), Wanted::Part(part), "{range}");
        }
        for range in ["bytes=10-", "bytes=99-100"] {
            assert_eq!(of_ten(range), Wanted::Unsatisfiable, "{range}");
        }
        for range in [
            "bytes=0-1,3-4",
            "lines=0-1",
            "bytes=5-2",
            "bytes=",
            "bytes=a-b",
            "bytes=+1-",
        ] {
            assert_eq!(of_ten(range), Wanted::Whole, "{range}");
        }
    }

    #[test]
    fn a_range_of_another_version_is_ignored() {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, "bytes=0-1".parse().unwrap());
        headers.insert(header::IF_RANGE, "\"y\"".parse().unwrap());
        assert_eq!(wanted(&headers, "\"x\"", 10), Wanted::Whole);
        assert_eq!(wanted(&headers, "\"y\"", 10), Wanted::Part(0..2));
    }
}
