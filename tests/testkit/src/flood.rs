//! Peers in a network that is flooded with multicast DNS.

use std::fs;

use crate::{
    Homes,
    memory::{memory, run_watched},
    net::{LEFT, Net, RIGHT, can},
    wait_for,
};

/// Messages a second.
const RATE: usize = 10_000;
/// By how much a process may grow meanwhile, and how much of that it may keep.
const GROWTH: u64 = 16 << 20;
const KEPT: u64 = 4 << 20;

/// While that many messages are sent, and after, a serving peer and one who looks for it grow by little, and it is found.
///
/// Tells that nothing was tried where no network can be made.
pub fn is_survived(messages: usize) {
    let Some(net) = Net::new() else { return };
    if !can("python3", "--version") {
        return;
    }
    let homes = Homes::new(&["b", "c"]);
    let id = homes.ok("b", &["--json", "status"]);
    let id: serde_json::Value = serde_json::from_str(&id).unwrap();
    let id = id["peer_id"].as_str().unwrap();
    let [a, b] =
        [("a", LEFT), ("b", RIGHT)].map(|(home, side)| net.serve(&homes, home, side, true));
    let quiet_peak = wait_until_seen(&net, &homes, id);
    let before = [&a, &b].map(|peer| memory(peer.id(), "VmRSS:").unwrap());
    let grown = |field| {
        let now = [&a, &b].map(|peer| memory(peer.id(), field).unwrap());
        [0, 1].map(|at| now[at].saturating_sub(before[at]))
    };
    // The peak begins anew (proc(5)).
    for peer in [&a, &b] {
        fs::write(format!("/proc/{}/clear_refs", peer.id()), "5").unwrap();
    }
    let mut flood = net.flood(RATE);
    flood.has_sent(1);
    let peak = wait_until_seen(&net, &homes, id);
    flood.has_sent(messages);
    let most = grown("VmHWM:");
    let looking = peak.saturating_sub(quiet_peak);
    eprintln!(
        "{messages} messages: peers grew by {most:?} bytes, who looked for them by {looking}"
    );
    assert!(most.iter().all(|grown| *grown <= GROWTH), "{most:?}");
    assert!(looking <= GROWTH, "{looking}");
    drop(flood);
    wait_for("memory is given back", || {
        grown("VmRSS:").iter().all(|grown| *grown <= KEPT)
    });
    wait_until_seen(&net, &homes, id);
}

/// Looks from the left side until the peer `id` is seen. Returns the memory that this took at most.
fn wait_until_seen(net: &Net, homes: &Homes, id: &str) -> u64 {
    let mut peak = 0;
    wait_for("the peer is seen", || {
        let args = ["--json", "peers", "--seen"];
        let (ran, most) = run_watched(&mut net.command(homes, "c", LEFT, &args, true));
        peak = peak.max(most);
        let mut lines = ran.out.lines();
        lines.any(|line| line.contains("\"seen\"") && line.contains(id))
    });
    peak
}
