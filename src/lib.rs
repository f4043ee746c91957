//! colis.

pub mod crypto;
pub mod id;
pub mod manifest;
pub mod store;
pub mod wire;
