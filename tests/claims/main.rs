//! What colis claims, a test for each claim: over real sockets, TLS, files, terminals and processes.
//!
//! One program, for each test program is linked with everything; a name is the way to a part of it:
//! `cargo test --test claims api::chunks`.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test ends where something is not as it must be, and says what it could not try"
)]

mod acting;
mod api;
mod arrivals;
mod attack;
mod bad_input;
mod carriers;
mod circle;
mod client;
mod commands;
mod completions;
mod conformance;
mod contact;
mod copied;

mod copies;
mod corpus;
mod crash;
mod custody;
mod dawdlers;
mod deleting;
mod demo;
mod directory;
mod discover;
mod disks;
mod displaced;
mod doctor;
mod embedding;
mod endless;
mod errors;
mod events;
mod examples;
mod fates;
mod first_contact;
mod full;
mod help;
mod hints;
mod hostile;
mod inbox;
mod kept_sends;
mod layering;
mod leave;
mod lists;
mod meant;
mod members;
mod menu;
mod metrics;
mod mounts;
mod mtls;
mod network;
mod newer;
mod no_proc;
mod own_authority;
mod owner;
mod pair;
mod passphrase;
mod pipes;
mod promises;
mod reading;
mod readme;
mod real_disks;
mod receive_new;
mod recipients;
mod renamed;
mod restored;
mod scripts;
mod served;
mod settings;
mod sizes;
mod sources;
mod store_local;
mod streams;
mod surroundings;
mod terminal;
mod testing;
mod traces;
mod transcripts;
mod transfer;
mod underway;
mod vectors;
mod where_received;
