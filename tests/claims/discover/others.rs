//! Programs of other makes that speak multicast DNS: they find a peer, and are found.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

use super::{at, id_of, seen_as};
use testkit::{
    Homes,
    net::{LEFT, Net, RIGHT},
    python::environment,
    wait_for,
};

/// Says what comes and goes of a service: a line each.
const BROWSE: &str = r#"
import sys, zeroconf
from zeroconf import ServiceBrowser, Zeroconf
class Listener:
    def add_service(self, zc, service, name):
        info = zc.get_service_info(service, name, 5000)
        texts = {key.decode(): value.decode() for key, value in info.properties.items()}
        print("there", *sorted(info.parsed_addresses()), info.port, texts["v"], texts["id"], texts["name"], flush=True)
    def remove_service(self, zc, service, name): print("gone", flush=True)
    def update_service(self, zc, service, name): pass
zc = Zeroconf(interfaces=["10.77.0.1"], ip_version=zeroconf.IPVersion.V4Only)
ServiceBrowser(zc, "_colis._tcp.local.", Listener())
sys.stdin.read()
"#;

/// Tells of a peer: its id, its name, its port.
const REGISTER: &str = r#"
import socket, sys, zeroconf
from zeroconf import ServiceInfo, Zeroconf
peer, name, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
zc = Zeroconf(interfaces=["10.77.0.2"], ip_version=zeroconf.IPVersion.V4Only)
info = ServiceInfo("_colis._tcp.local.", "Anna's Peer._colis._tcp.local.", port, server="other.local.",
    addresses=[socket.inet_aton("10.77.0.2")], properties={"v": "1", "id": peer, "name": name})
zc.register_service(info)
print("registered", flush=True)
sys.stdin.read()
"#;

/// Asks as a plain DNS client does, from any port. Says id, counts of questions and answers, where from, and the bytes.
const ASK: &str = r#"
import socket, struct
def name(text): return b"".join(bytes([len(l)]) + l.encode() for l in text.split(".")) + b"\0"
out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
out.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("10.77.0.1"))
out.settimeout(1)
while True:
    out.sendto(struct.pack(">HHHHHH", 0x1234, 0, 1, 0, 0, 0) + name("_colis._tcp.local") + struct.pack(">HH", 12, 1), ("224.0.0.251", 5353))
    try: answer, source = out.recvfrom(9000)
    except TimeoutError: continue
    message, flags, questions, answers, _, other = struct.unpack(">HHHHHH", answer[:12])
    at = 12 + len(name("_colis._tcp.local")) + 4
    kind, of_class, ttl = struct.unpack(">HHI", answer[at + len(name("_colis._tcp.local")):][:8])
    print("%x" % message, "%x" % flags, questions, answers, other, source[0], kind, of_class, ttl, flush=True)
    break
"#;

/// A program in Python on one side. It ends when its input does.
struct Other {
    child: Child,
    said: BufReader<ChildStdout>,
}

impl Other {
    fn start(net: &Net, side: usize, python: &Path, program: &[&str]) -> Self {
        let mut command = net.inside(side, &python.to_string_lossy());
        command.arg("-c").args(program);
        Self::of(command)
    }

    fn of(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stdout.take().unwrap());
        Self { child, said }
    }

    /// Its next line.
    fn says(&mut self) -> String {
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An interpreter that has `zeroconf`.
fn python() -> std::path::PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/claims/discover");
    environment("zeroconf", &folder.join("requirements.txt")).join("python")
}

#[test]
fn a_browser_of_another_make_finds_a_peer_and_hears_its_goodbye() {
    let Some(net) = Net::new() else { return };
    let homes = Homes::new(&["b"]);
    let id = id_of(&homes, "b");
    let mut browser = Other::start(&net, LEFT, &python(), &[BROWSE]);
    let b = net.serve(&homes, "b", RIGHT, true);
    let port = b.address.port();
    assert_eq!(browser.says(), format!("there 10.77.0.2 {port} 1 {id} b"));
    let process = Pid::from_raw(b.id().try_into().unwrap()).unwrap();
    kill_process(process, Signal::TERM).unwrap();
    assert_eq!(browser.says(), "gone");
}

#[test]
fn a_peer_that_another_program_tells_of_is_seen() {
    let Some(net) = Net::new() else { return };
    let homes = Homes::new(&["b"]);
    let id = id_of(&homes, "b");
    let mut other = Other::start(&net, RIGHT, &python(), &[REGISTER, &id, "b", "8443"]);
    assert_eq!(other.says(), "registered");
    wait_for("it is seen", || {
        let ran = net.run(&homes, "a", LEFT, &["--json", "peers", "--seen"]);
        seen_as(&ran, &id).is_some_and(|seen| {
            seen["addresses"] == serde_json::json!(["10.77.0.2:8443"]) && seen["name"] == "b"
        })
    });
}

#[test]
fn a_plain_dns_client_is_answered_alone_with_what_it_asked_for_first() {
    let Some(net) = Net::new() else { return };
    let homes = Homes::new(&["b"]);
    let _b = net.serve(&homes, "b", RIGHT, true);
    let mut plain = Other::start(&net, LEFT, Path::new("python3"), &[ASK]);
    // Its id and question are repeated, and no answer is to be kept for long or to replace others (RFC 6762, section 6.7).
    assert_eq!(plain.says(), "1234 8400 1 1 4 10.77.0.2 12 1 10");
}

#[test]
fn an_address_that_comes_later_is_told_of_by_itself() {
    let Some(net) = Net::new() else { return };
    let homes = Homes::new(&["b"]);
    let id = id_of(&homes, "b");
    let b = net.serve(&homes, "b", RIGHT, true);
    net.add_right("10.77.0.9");
    let both = ["10.77.0.2", "10.77.0.9"].map(|ip| at(ip, &b));
    wait_for("both addresses are seen", || {
        let ran = net.run(&homes, "a", LEFT, &["--json", "peers", "--seen"]);
        seen_as(&ran, &id).is_some_and(|seen| seen["addresses"] == serde_json::json!(both))
    });
}
