//! A whole peer inside a program of one's own, with a route of its own behind the same guard:
//! `cargo run --example embedded_server -- HOME`.

#![allow(clippy::print_stdout, reason = "an example says where it is")]

use std::{env, error::Error};

use axum::{Router, routing::get};
use colis::{
    peer::{Arrivals, Peer, PeerOptions},
    server::{CallerInfo, OwnRoutes},
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let home = env::args_os().nth(1);
    let home = home.ok_or("usage: embedded_server HOME")?;
    let hello = |caller: CallerInfo| async move { format!("hello, {}\n", caller.name()) };
    let own = OwnRoutes::new().for_members(Router::new().route("/hello", get(hello)));

    let peer = Peer::open(PeerOptions::at(home))?.with_routes(own)?;
    let port = peer.address().port();
    println!("https://localhost:{port}/hello, and everything of docs/protocol.md; Ctrl-C ends it");
    tokio::spawn(say_arrivals(peer.arrivals()));
    let stop = async {
        let _ = tokio::signal::ctrl_c().await;
    };
    Ok(peer.run(stop).await?)
}

/// What is opened, waits or is refused, until the peer has ended.
async fn say_arrivals(mut arrivals: Arrivals) {
    while let Ok(arrival) = arrivals.recv().await {
        println!("{}: {:?}", arrival.transfer, arrival.outcome);
    }
}
