//! Every route and every status that it can give, over real mutual TLS on a free port.

mod chunks;
mod events;
mod hidden;
mod limits;
mod log;
mod manifests;
mod matrix;
mod openapi;
mod own;
mod pages;
mod pem;
mod roles;
mod routes;
mod slow_readers;
mod text;
