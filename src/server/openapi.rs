//! The contract as an OpenAPI 3.1 document, made from the routes themselves: what is not described is not routed.
//!
//! Each handler says beside itself what it takes and gives; [`problems`] adds the ways to fail, [`finish`] what all routes
//! have in common.

use std::collections::BTreeMap;

use axum::{
    Extension,
    http::{StatusCode, header},
    response::IntoResponse,
};
use bytes::Bytes;
use utoipa::{
    PartialSchema as _, ToSchema as _,
    openapi::{
        Components, Content, Header, InfoBuilder, License, OpenApi, OpenApiBuilder, RefOr,
        Response, ResponseBuilder,
        path::{Operation, Parameter},
        schema::{ObjectBuilder, Ref, Type},
        security::{SecurityRequirement, SecurityScheme},
    },
};

use crate::wire::{Code, Problem, ServerEvent, media, route};

/// Names the ways in which a route fails, for its `responses`: besides [`ANY`], the lists that are given.
macro_rules! problems {
    ($name:ident $(: $($codes:expr),+)?) => {
        struct $name;

        impl utoipa::IntoResponses for $name {
            fn responses() -> std::collections::BTreeMap<
                String,
                utoipa::openapi::RefOr<utoipa::openapi::Response>,
            > {
                $crate::server::openapi::responses(&[$crate::server::openapi::ANY, $($($codes),+)?])
            }
        }
    };
}
pub(super) use problems;

/// The document, written once for all requests.
#[derive(Clone)]
pub(super) struct Document(pub(super) Bytes);

problems!(GetProblems);

/// This document.
#[utoipa::path(
    get,
    path = route::OPENAPI,
    operation_id = "openapi",
    tag = "Peer",
    responses((status = 200, description = "OpenAPI 3.1", content(("application/json"))), GetProblems)
)]
pub(super) async fn get(Extension(Document(json)): Extension<Document>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, media::JSON)], json)
}

/// What any route can answer, whatever it is asked.
pub(super) const ANY: &[Code] = &[
    Code::BadHeader,
    Code::LengthRequired,
    Code::TooLarge,
    Code::UriTooLong,
    Code::UnsupportedMediaType,
    Code::ExpectationFailed,
    Code::CertificateExpired,
    Code::TooManyRequests,
    Code::Internal,
    Code::Busy,
];

/// What a route with a body can answer besides.
pub(super) const BODY: &[Code] = &[Code::SlowBody, Code::ShortBody];

/// How an offer or a manifest may be wrong.
pub(super) const ENVELOPE: &[Code] = &[
    Code::ManifestSyntax,
    Code::UntrustedSigner,
    Code::SenderMismatch,
    Code::IdMismatch,
    Code::UnsupportedVersion,
    Code::UnsupportedType,
    Code::ManifestInvariant,
    Code::BadWrap,
    Code::KdfParams,
    Code::BadSignature,
    Code::Expired,
    Code::EndsTooSoon,
    Code::FromTheFuture,
];

/// How storing fails.
pub(super) const STORING: &[Code] = &[
    Code::StorageFailed,
    Code::NoSpace,
    Code::QuotaExceeded,
    Code::NotAllowed,
];

/// One response for each status that these codes have: all routes share it, and each says its own codes beside the
/// reference. A schema for each route and status would become a model each in the clients that are made from this.
pub(super) fn responses(lists: &[&[Code]]) -> BTreeMap<String, RefOr<Response>> {
    let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in lists.iter().copied().flatten() {
        let codes = by_status.entry(code.parts().1).or_default();
        if !codes.contains(code) {
            codes.push(*code);
        }
    }
    let response = |(status, codes): (u16, Vec<Code>)| {
        let mut shared = Ref::from_response_name(response_name(status));
        shared.description = meanings(&codes);
        (status.to_string(), RefOr::Ref(shared))
    };
    by_status.into_iter().map(response).collect()
}

fn meanings(codes: &[Code]) -> String {
    let line = |code: &Code| format!("`{}`: {}", code.parts().0, code.meaning());
    let lines: Vec<_> = codes.iter().map(line).collect();
    lines.join("\n\n")
}

/// Its standard phrase as one word, as `NotFound`.
fn response_name(status: u16) -> String {
    let phrase = StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason());
    phrase.unwrap_or("Problem").replace(' ', "")
}

/// The response that all routes share which answer problems with `status`.
fn problem(status: u16) -> Response {
    let codes = Code::ALL.iter().copied();
    let codes: Vec<_> = codes.filter(|code| code.parts().1 == status).collect();
    let schema = Ref::from_schema_name(Problem::name());
    let response = ResponseBuilder::new()
        .description(meanings(&codes))
        .content(media::PROBLEM, Content::new(Some(schema)));
    let with = |name: &str, what: &str| (name.to_owned(), text_header(what));
    let header = match status {
        416 => Some(with("Content-Range", "`bytes */LENGTH`")),
        429 | 503 => Some(with("Retry-After", "Seconds; not with `storage-failed`.")),
        _ => None,
    };
    match header {
        Some((name, header)) => response.header(name, header).build(),
        None => response.build(),
    }
}

fn text_header(what: &str) -> Header {
    let mut header = Header::new(ObjectBuilder::new().schema_type(Type::String));
    header.description = Some(what.to_owned());
    header
}

/// The document before its first route.
pub(super) fn document() -> OpenApi {
    let mut license = License::new(env!("CARGO_PKG_LICENSE"));
    license.identifier = Some(env!("CARGO_PKG_LICENSE").to_owned());
    let info = InfoBuilder::new()
        .title("colis")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(ABOUT))
        .license(Some(license));
    let mutual_tls = SecurityScheme::MutualTls {
        description: Some("A certificate of the circle, shown in the handshake.".to_owned()),
        deprecated: None,
        extensions: None,
    };
    let mut components = Components::new();
    components.add_security_scheme("mutualTls", mutual_tls);
    let mut schemas = vec![
        (Problem::name().into_owned(), Problem::schema()),
        (ServerEvent::name().into_owned(), ServerEvent::schema()),
    ];
    Problem::schemas(&mut schemas);
    ServerEvent::schemas(&mut schemas);
    components.schemas.extend(schemas);
    for code in Code::ALL {
        let (_, status) = code.parts();
        let shared = problem(status).into();
        components.responses.insert(response_name(status), shared);
    }
    OpenApiBuilder::new()
        .info(info)
        .components(Some(components))
        .security(Some([SecurityRequirement::new("mutualTls", [""; 0])]))
        .build()
}

const ABOUT: &str = "A peer of colis: an HTTPS service with mutual TLS (1.3) in front of a store of sealed chunks. \
    HTTP/1.1 only.\n\n\
    Errors are RFC 9457 problem documents with a stable `code`. Beside what each route names, an address without a route is \
    `404 no-such-route`, a method that a route does not take `405 method-not-allowed` with `Allow`; what is no HTTP/1.1 is \
    answered by a bare 400 or 431. Lists come by pages: follow `Link` with `rel=\"next\"`, or ask again with `after`.";

/// Adds what follows from the rules of all routes, and writes it.
pub(super) fn finish(mut api: OpenApi) -> Document {
    for item in api.paths.paths.values_mut() {
        item.head = item.get.as_ref().map(head);
    }
    // A document of plain maps and text: there is nothing in it that cannot be written.
    Document(api.to_json().unwrap_or_default().into())
}

/// `HEAD` is answered wherever `GET` is: the same, without a body. Ranges mean something for `GET` only (RFC 9110
/// section 14.2).
fn head(get: &Operation) -> Operation {
    let mut head = get.clone();
    head.operation_id = get.operation_id.as_ref().map(|id| format!("{id}_head"));
    head.summary = get.summary.as_ref().map(|s| format!("The head of: {s}"));
    head.description = None;
    let is_range = |p: &RefOr<Parameter>| matches!(p, RefOr::T(p) if p.name.ends_with("Range"));
    if let Some(parameters) = &mut head.parameters {
        parameters.retain(|p| !is_range(p));
    }
    head.responses
        .responses
        .retain(|status, _| status != "206" && status != "416");
    for (status, response) in &mut head.responses.responses {
        let mut plain = match response {
            RefOr::T(response) => response.clone(),
            RefOr::Ref(shared) => {
                let mut plain = status.parse().map(problem).unwrap_or_default();
                plain.description.clone_from(&shared.description);
                plain
            }
        };
        plain.content.clear();
        *response = plain.into();
    }
    head
}
