//! For tests of programs that use colis: a network of peers on the loopback, and links between them that can be cut. With the
//! feature `testing`.
//!
//! Every part is the real one: each peer is a [`Peer`](crate::peer::Peer) with a home of its own, certificates of one circle, and mutual
//! TLS over TCP; only the wires are pretended. Nothing is announced or looked for on the network that the test runs in.
//!
//! ```
//! use std::fs;
//!
//! use colis::{peer::Outcome, session::SendRequest, testing::Network, transfer::Sources};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let network = Network::of(2).await?;
//! let mut arrivals = network.peer(1).arrivals();
//!
//! let (letter, to) = ([network.path("letter.txt")], SendRequest::to([network.name(1)]));
//! fs::write(&letter[0], "Dear peer1")?;
//!
//! network.link(0, 1).cut();
//! let sender = network.session(0)?;
//! assert!(sender.send(Sources::walk(&letter)?, &to).await.is_err());
//!
//! network.link(0, 1).restore();
//! sender.send(Sources::walk(&letter)?, &to).await?;
//! let Outcome::Opened(files) = arrivals.recv().await?.outcome else {
//!     panic!("it waits")
//! };
//! assert_eq!(fs::read_to_string(&files.paths[0])?, "Dear peer1");
//! network.shutdown().await?;
//! # Ok(())
//! # }
//! ```

mod link;
mod network;

pub use link::{Damage, Entrance, Link, LinkOptions, Way};
pub use network::{Network, NetworkError};
