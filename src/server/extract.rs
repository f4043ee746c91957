//! Parsing at the door: what routes take from a request's line and headers becomes a type or a problem.

use std::str::FromStr;

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderName, Uri, request::Parts},
};

use super::{
    accept::Connection,
    problem::{Answer, Failure},
};
use crate::{
    id::{ParseIdError, PeerId},
    store::PageRequest,
    trust::is_peer_name,
    wire::{self, Code},
};

impl<S: Sync> FromRequestParts<S> for Connection {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Answer<Self> {
        let found = parts.extensions.get::<Self>().cloned();
        found.ok_or_else(|| Failure::internal(&"the router runs outside of `serve`"))
    }
}

/// The id in `/v1/RESOURCE/{id}`. Taken from the path as it was sent: an escaped id would be a second spelling of one
/// thing.
pub(super) struct PathId<T>(pub(super) T);

impl<S: Sync, T: FromStr<Err = ParseIdError>> FromRequestParts<S> for PathId<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Answer<Self> {
        let segment = parts.uri.path().split('/').nth(3).unwrap_or_default();
        let id = segment.parse();
        id.map(Self)
            .map_err(|e: ParseIdError| Failure::new(Code::BadId, e.to_string()))
    }
}

/// The query of a list.
pub(super) struct ListQuery<K> {
    /// Which part of it.
    pub(super) page: PageRequest<K>,
    /// `for=`: only what this peer can open.
    pub(super) reader: Option<PeerId>,
}

impl<K: FromStr<Err = ParseIdError>> ListQuery<K> {
    /// Reads the query of `uri`; `keys` are those that the list takes.
    pub(super) fn parse(uri: &Uri, keys: &[&str]) -> Answer<Self> {
        let mut fields = Fields::split(uri.query().unwrap_or_default(), keys)?;
        let limit = fields
            .take("limit")
            .map_or(Ok(wire::DEFAULT_PAGE), parse_limit)?;
        let after = fields.take("after").map(str::parse).transpose();
        let after = after.map_err(|_| {
            Failure::new(
                Code::BadCursor,
                "`after` is not the id of an entry of this list",
            )
        })?;
        let reader = fields.take("for").map(str::parse).transpose();
        let reader = reader.map_err(|e| Failure::new(Code::BadQuery, format!("`for`: {e}")))?;
        let page = PageRequest { after, limit };
        Ok(Self { page, reader })
    }
}

/// The `name=` of a query, as peers are called.
pub(super) fn name(uri: &Uri) -> Answer<Option<&str>> {
    let mut fields = Fields::split(uri.query().unwrap_or_default(), &["name"])?;
    let name = fields.take("name");
    match name.is_none_or(is_peer_name) {
        true => Ok(name),
        false => Err(Failure::new(
            Code::BadQuery,
            "`name` is not what a peer is called",
        )),
    }
}

/// The `sender=` of a query.
pub(super) fn sender(uri: &Uri) -> Answer<Option<PeerId>> {
    let mut fields = Fields::split(uri.query().unwrap_or_default(), &["sender"])?;
    let sender = fields.take("sender").map(str::parse).transpose();
    sender.map_err(|e| Failure::new(Code::BadQuery, format!("`sender`: {e}")))
}

struct Fields<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Fields<'a> {
    fn split(query: &'a str, keys: &[&str]) -> Answer<Self> {
        let bad = || {
            Failure::new(
                Code::BadQuery,
                format!("the query takes {}, each once", keys.join(", ")),
            )
        };
        let mut fields: Vec<(&str, &str)> = Vec::new();
        for pair in query.split('&').filter(|p| !p.is_empty()) {
            let (key, value) = pair.split_once('=').ok_or_else(bad)?;
            if !keys.contains(&key) || fields.iter().any(|(k, _)| *k == key) {
                return Err(bad());
            }
            fields.push((key, value));
        }
        Ok(Self(fields))
    }

    fn take(&mut self, key: &str) -> Option<&'a str> {
        let at = self.0.iter().position(|(k, _)| *k == key)?;
        Some(self.0.swap_remove(at).1)
    }
}

fn parse_limit(text: &str) -> Answer<usize> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    let limit = digits.then(|| text.parse().ok()).flatten();
    limit
        .filter(|l| (1..=wire::MAX_PAGE).contains(l))
        .ok_or_else(|| {
            Failure::new(
                Code::BadLimit,
                format!("`limit` is a number from 1 to {}", wire::MAX_PAGE),
            )
        })
}

/// The value of a header that may come once, as text.
pub(super) fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Answer<Option<&'a str>> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    let bad = || {
        Failure::new(
            Code::BadHeader,
            format!("the header {name} comes once, as plain text"),
        )
    };
    if values.next().is_some() {
        return Err(bad());
    }
    first.map(|v| v.to_str().map_err(|_| bad())).transpose()
}

/// Whether one of the entity tags in `If-None-Match` is `etag` (RFC 9110 section 13.1.2, weak comparison).
pub(super) fn none_match(headers: &HeaderMap, etag: &str) -> bool {
    headers
        .get_all(axum::http::header::IF_NONE_MATCH)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(','))
        .map(str::trim)
        .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}
