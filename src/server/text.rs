//! The same answers for people: aligned lines instead of JSON, for requests that prefer `text/plain`.
//!
//! What is shown is made of ids, numbers, times and names that were parsed, so nothing in it can command a terminal.

use std::{convert::Infallible, time::Duration};

use axum::{
    Json,
    extract::FromRequestParts,
    http::{HeaderMap, header, request::Parts},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use crate::{
    disk::Size,
    store::{ChunkInfo, ManifestInfo},
    trust::SignedBundle,
    wire::{ChunkList, Health, HealthStatus, ManifestList, PeerBody},
};

/// What the request would rather have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// For programs, and for whoever says nothing.
    Json,
    /// For a terminal.
    Text,
}

impl<S: Sync> FromRequestParts<S> for Form {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::wanted(&parts.headers))
    }
}

impl Form {
    fn wanted(headers: &HeaderMap) -> Self {
        let text = quality(headers, ["text", "plain"]);
        let json = quality(headers, ["application", "json"]);
        if text > json { Self::Text } else { Self::Json }
    }

    /// `body` in this form.
    pub(super) fn answer<T: Serialize>(self, body: T, text: impl FnOnce(&T) -> String) -> Response {
        let vary = [(header::VARY, "accept")];
        match self {
            Self::Json => (vary, Json(body)).into_response(),
            // axum says `text/plain; charset=utf-8` of every string.
            Self::Text => (vary, text(&body)).into_response(),
        }
    }
}

/// How much `Accept` wants a media type, from 0 to 1: the most specific range that has it counts (RFC 9110 section
/// 12.5.1). A range that cannot be read counts for nothing.
fn quality(headers: &HeaderMap, [kind, subkind]: [&str; 2]) -> f32 {
    let values = headers.get_all(header::ACCEPT).iter();
    let ranges = values
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(','));
    let weighed = ranges.filter_map(|range| {
        let mut parts = range.split(';').map(str::trim);
        let specific = match parts.next()?.split_once('/')? {
            ("*", "*") => 0,
            (k, "*") if k.eq_ignore_ascii_case(kind) => 1,
            (k, s) if k.eq_ignore_ascii_case(kind) && s.eq_ignore_ascii_case(subkind) => 2,
            _ => return None,
        };
        let q = parts.find_map(|p| p.strip_prefix("q=").or_else(|| p.strip_prefix("Q=")));
        let q = q.map_or(Some(1.0), |q| q.parse().ok())?;
        (0.0..=1.0).contains(&q).then_some((specific, q))
    });
    let best = weighed.reduce(|a, b| if b > a { b } else { a });
    best.map_or(0.0, |(_, q)| q)
}

/// Chunks, a line each.
pub(super) fn chunks(list: &ChunkList) -> String {
    let columns = [
        ("# chunk", Side::Left),
        ("bytes", Side::Right),
        ("size", Side::Right),
    ];
    let line = |chunk: &ChunkInfo| {
        let length = chunk.length;
        [
            chunk.id.to_string(),
            length.to_string(),
            Size(length).to_string(),
        ]
    };
    page(columns, list.chunks.iter().map(line), list.next.is_some())
}

/// Transfers, a line each.
pub(super) fn manifests(list: &ManifestList) -> String {
    let columns = [
        ("# manifest", Side::Left),
        ("created", Side::Left),
        ("expires", Side::Left),
        ("bytes", Side::Right),
        ("size", Side::Right),
        ("chunks", Side::Right),
        ("opened by", Side::Left),
        ("sender", Side::Left),
    ];
    let line = |info: &ManifestInfo| {
        let expires = info.expires.map(|at| at.to_string());
        [
            info.id.to_string(),
            info.created.to_string(),
            expires.unwrap_or_else(|| "never".to_owned()),
            info.size.to_string(),
            Size(info.size).to_string(),
            info.chunks.to_string(),
            readers(info),
            info.sender.to_string(),
        ]
    };
    page(
        columns,
        list.manifests.iter().map(line),
        list.next.is_some(),
    )
}

fn readers(info: &ManifestInfo) -> String {
    let keys = match info.recipients.len() {
        0 => None,
        1 => Some("1 key".to_owned()),
        n => Some(format!("{n} keys")),
    };
    let password = info.password.then(|| "password".to_owned());
    [keys, password]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(", ")
}

/// A page of a list below its heading. The address of the next page is in `Link`.
fn page<const N: usize>(
    columns: [(&str, Side); N],
    lines: impl Iterator<Item = [String; N]>,
    more: bool,
) -> String {
    let heading = columns.map(|(name, _)| name.to_owned());
    let lines: Vec<_> = std::iter::once(heading).chain(lines).collect();
    if lines.len() == 1 {
        return "# none\n".to_owned();
    }
    let mut text = aligned(columns.map(|(_, side)| side), &lines);
    if more {
        text += "# more: add `after=` and the last id\n";
    }
    text
}

/// Who this is.
pub(super) fn peer(body: &PeerBody) -> String {
    let size = |bytes: usize| format!("at most {bytes} bytes ({})", Size(bytes as u64));
    let limits = &body.limits;
    let mut lines = vec![["peer".to_owned(), body.peer_id.to_string()]];
    if let Ok(bundle) = SignedBundle::parse(body.bundle.clone()) {
        // Parsing has checked that it is a name as peers have them.
        lines.push(["name".to_owned(), bundle.payload().name.clone()]);
    }
    lines.push(["chunk".to_owned(), size(limits.chunk_bytes)]);
    lines.push(["manifest".to_owned(), size(limits.manifest_bytes)]);
    lines.push([
        "missing".to_owned(),
        format!("at most {} ids at once", limits.missing_ids),
    ]);
    lines.push([
        "requests".to_owned(),
        format!("at most {} at once", limits.requests),
    ]);
    aligned([Side::Left; 2], &lines)
}

/// How it is.
pub(super) fn health(body: &Health) -> String {
    let status = match body.status {
        HealthStatus::Ok => "ok",
        HealthStatus::ReadOnly => "read-only",
    };
    let lines = [["status", status], ["version", &body.version]];
    aligned([Side::Left; 2], &lines.map(|line| line.map(str::to_owned)))
}

/// On which side a column's text stands.
#[derive(Debug, Clone, Copy)]
enum Side {
    Left,
    Right,
}

fn aligned<const N: usize>(sides: [Side; N], lines: &[[String; N]]) -> String {
    let width = |column: usize| {
        lines
            .iter()
            .map(|line| line[column].len())
            .max()
            .unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let mut text = String::new();
    for line in lines {
        let cells = line
            .iter()
            .zip(sides)
            .zip(widths)
            .map(|((cell, side), width)| match side {
                Side::Left => format!("{cell:<width$}"),
                Side::Right => format!("{cell:>width$}"),
            });
        text += cells.collect::<Vec<_>>().join("  ").trim_end();
        text.push('\n');
    }
    text
}

/// How fast so many bytes went, in a unit that fits.
pub(crate) fn per_second(bytes: u64, elapsed: Duration) -> String {
    format!("{}/s", Size::per_second(bytes, elapsed.as_secs_f64()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(accept: &[&'static str]) -> Form {
        let mut headers = HeaderMap::new();
        for value in accept {
            headers.append(header::ACCEPT, value.parse().unwrap());
        }
        Form::wanted(&headers)
    }

    #[test]
    fn text_is_for_those_who_prefer_it() {
        for accept in [
            "text/plain",
            "TEXT/Plain; charset=utf-8",
            "text/*",
            "text/plain, application/json;q=0.9",
            "text/html, text/plain;q=0.5, */*;q=0.1",
            "application/json;q=0, */*",
        ] {
            assert_eq!(form(&[accept]), Form::Text, "{accept}");
        }
        assert_eq!(
            form(&["application/json;q=0.1", "text/plain"]),
            Form::Text,
            "two fields"
        );
        for accept in [
            "",
            "*/*",
            "application/json",
            "text/plain, application/json",
            "text/plain;q=0.5, */*;q=0.6",
            "text/plain;q=0",
            "text/*, text/plain;q=0",
            "text/html",
            "image/png, text/plain;q=x",
            "text/plain;q=2",
            "nonsense",
            ";;;,,,/",
        ] {
            assert_eq!(form(&[accept]), Form::Json, "{accept}");
        }
        assert_eq!(form(&[]), Form::Json, "nothing is said");
    }

    #[test]
    fn columns_are_aligned_and_lines_end_where_their_text_ends() {
        let lines = [["a", "1", "x"], ["long", "1000", ""]].map(|line| line.map(str::to_owned));
        let text = aligned([Side::Left, Side::Right, Side::Left], &lines);
        assert_eq!(text, "a        1  x\nlong  1000\n");
    }
}
