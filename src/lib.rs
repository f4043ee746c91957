//! colis.

pub mod cli;
pub mod client;
pub mod config;
pub mod crypto;
pub mod id;
pub mod manifest;
pub mod name;
pub mod peer;
pub mod received;
pub mod server;
pub mod store;
pub mod tls;
pub mod transfer;
pub mod trust;
pub mod wire;
