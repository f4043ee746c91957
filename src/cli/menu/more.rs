//! What is looked at more rarely.

use super::{Menu, ask::Stop, entries::way, peers, words};

#[derive(Clone, Copy)]
enum What {
    Status,
    Doctor,
    DoctorOfPeer,
}

pub(super) async fn run(menu: &Menu) -> Result<(), Stop> {
    let mut ways = vec![
        (What::Status, "Status: what this peer is, has and knows"),
        (
            What::Doctor,
            "Doctor: look for what is wrong on this machine",
        ),
    ];
    if !peers::others(menu)?.is_empty() {
        let of_peer = "Doctor: find out which step fails on the way to a peer";
        ways.push((What::DoctorOfPeer, of_peer));
    }
    match way("More", &ways).await? {
        What::Status => menu.show(words(&["status"])).await,
        What::Doctor => menu.show(words(&["doctor"])).await,
        What::DoctorOfPeer => {
            let peer = peers::choose(menu, "The way to whom?").await?;
            menu.show(words(&["doctor", "--", &peer])).await
        }
    }
}
