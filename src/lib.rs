//! colis exchanges files between machines that trust each other's certificates.
//!
//! A program acts as a member by a [`Session`](session::Session), and serves by a [`Peer`](peer::Peer). Both on one machine:
//!
//! ```
//! use colis::{
//!     peer::{Peer, PeerOptions},
//!     session::{Home, SendRequest, Session, certs, message},
//! };
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let root = tempfile::tempdir()?;
//! # let [anna, ben] = ["anna", "ben"].map(|name| root.path().join(name));
//! // Anna makes a circle, and certificates for ben. On two machines ben joins by a code: `session::pair`.
//! certs::init(&Home::resolve(Some(&anna))?, "anna", Vec::new())?;
//! let anna = Session::open(anna)?;
//! let bens = certs::IssueRequest::new("ben", ben.join("certs"));
//! anna.issue(&bens).await?;
//!
//! let peer = Peer::open(PeerOptions::at(ben))?;
//! let mut request = SendRequest::to([peer.address().to_string()]);
//! tokio::spawn(peer.run(std::future::pending()));
//!
//! request.wait = true;
//! let sent = anna.send(message("Dear Ben")?, &request).await?;
//! assert!(sent.complete);
//! # Ok(())
//! # }
//! ```
//!
//! A service has routes of its own, behind the guard of the peer's:
//!
//! ```
//! use axum::{Router, routing::get};
//! use colis::{
//!     peer::{Peer, PeerOptions},
//!     server::{CallerInfo, OwnRoutes},
//! };
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # use colis::session::{Home, certs};
//! # let root = tempfile::tempdir()?;
//! # let home = root.path();
//! # certs::init(&Home::resolve(Some(home))?, "ben", Vec::new())?;
//! let hello = |caller: CallerInfo| async move { format!("hello, {}", caller.name()) };
//! let own = OwnRoutes::new().for_members(Router::new().route("/hello", get(hello)));
//! let peer = Peer::open(PeerOptions::at(home))?.with_routes(own)?;
//! let handle = peer.handle();
//! let running = tokio::spawn(peer.run(std::future::pending()));
//! println!("https://localhost:{}/hello", handle.address().port());
//!
//! handle.shutdown().await;
//! running.await??;
//! # Ok(())
//! # }
//! ```
//!
//! `docs/embedding.md` goes on from here: events, errors, rights, a client of such a service.
//!
//! # How it works
//!
//! Each machine runs one [`peer`]: an HTTPS service with mutual TLS in front of a store of sealed chunks, and an inbox
//! that opens what arrives for it. A sender seals files into chunks that are named by their SHA-256, puts them into the
//! store of a peer, and publishes a signed manifest last.
//!
//! Four ideas carry the rest:
//!
//! - **A peer is a store.** [`store::Store`] is implemented by a local directory, by memory and by
//!   [`client::PeerClient`]. Code that moves transfers never knows HTTP.
//! - **The server is blind.** It keeps sealed bytes, checks them by their digest and holds no file key.
//! - **Resuming is no feature.** Chunks are immutable and named by their content; every transfer begins by asking which
//!   are missing.
//! - **What is acknowledged is durable.** A received file is byte-identical under its final name, or absent.
//!
//! The rooms, from the bottom: [`id`] and [`name`] parse what comes from outside, [`disk`] says what may be written; [`crypto`] is the scheme and nothing
//! else; [`manifest`] says what a transfer is, [`trust`] and [`tls`] who is who, [`store`] where sealed bytes live,
//! [`wire`] how peers speak, [`address`] where they are, [`received`] where plaintext may be written; [`server`], [`client`] and [`transfer`] stand on
//! these and never import each other, beside them [`pair`] makes first contact and [`discover`] finds peers; [`peer`] joins them, [`config`] has the settings, a [`session`] acts for a person or a program, the [`doctor`] finds out what is wrong, and [`cli`] faces the person.
//!
//! The format is in `docs/format.md`, the HTTP contract in `docs/protocol.md`.

/// The programs of `docs/embedding.md`.
#[cfg(doctest)]
#[doc = include_str!("../docs/embedding.md")]
mod embedding {}

pub mod address;
#[cfg(feature = "cli")]
pub mod cli;
pub mod client;
pub mod config;
pub mod crypto;
pub mod discover;
pub mod disk;
pub mod doctor;
pub mod id;
mod lock;
pub mod manifest;
pub mod name;
pub mod pair;
pub mod peer;
mod private;
pub mod received;
mod sabotage;
pub mod server;
pub mod session;
pub mod store;
#[cfg(feature = "testing")]
pub mod testing;
pub mod tls;
pub mod transfer;
pub mod trust;
pub mod wire;
