//! Every route and every status that it can give, over real mutual TLS on a free port.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[allow(dead_code, reason = "tests/mtls.rs uses the rest")]
#[path = "../common/server.rs"]
mod common;
#[path = "../support/mod.rs"]
mod support;

mod chunks;
mod events;
mod limits;
mod log;
mod manifests;
mod openapi;
mod roles;
mod routes;
mod text;
