//! What the tests of colis share: homes and peers as processes ([`Homes`]), a server with a store that can be told to
//! fail ([`server`]), a member who says over raw TLS whatever it likes ([`site`]), a person at a terminal ([`person`]),
//! two networks with a cable between them ([`net`]), signed transfers that nobody sealed ([`sealed`]), tools written in
//! Python ([`python`]), a small disk that takes different names for one ([`disk`]).
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    missing_docs,
    reason = "a test ends where something is not as it must be"
)]

mod content;
pub mod disk;
pub mod flood;
mod homes;
pub mod memory;
pub mod net;
pub mod node;
mod pace;
pub mod person;
mod program;
pub mod python;
mod rounds;
pub mod sealed;
pub mod server;
pub mod site;
pub mod tapped;
mod wait;

pub use content::{MARKER, bytes, tree};
pub use homes::{Homes, Ran, Serving, around, sending};
pub use pace::{stretch, stretched};
pub use program::{copy_program, has, program, target_folder};
pub use rounds::{is_long, minutes, rounds};
pub use wait::wait_for;
