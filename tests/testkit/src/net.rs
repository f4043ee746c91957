//! Two network namespaces with a cable between them. They end with the processes that hold them.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, ChildStdout, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
};

use crate::{Homes, Ran, Serving, around, wait_for};

pub const LEFT: usize = 0;
pub const RIGHT: usize = 1;

/// Says again and again that a `service` of the peer `id` is at 10.77.0.2, port so and so: one answer with all its records.
const LIE: &str = r#"
import socket, struct, sys, time
service, id, peer, port = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
def name(text): return b"".join(bytes([len(l)]) + l.encode() for l in text.split(".")) + b"\0"
def record(owner, kind, data): return name(owner) + struct.pack(">HHIH", kind, 1, 120, len(data)) + data
label = "liar-%d" % port
instance, host = label + "." + service, label + ".local"
txt = b"".join(bytes([len(t)]) + t for t in [b"v=1", b"id=" + id.encode(), b"name=" + peer.encode()])
records = [record(service, 12, name(instance)), record(instance, 33, struct.pack(">HHH", 0, 0, port) + name(host)),
           record(instance, 16, txt), record(host, 1, socket.inet_aton("10.77.0.2"))]
packet = struct.pack(">HHHHHH", 0, 0x8400, 0, len(records), 0, 0) + b"".join(records)
out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
out.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
out.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
out.bind(("", 5353))
out.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("10.77.0.2"))
out.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
while True:
    out.sendto(packet, ("224.0.0.251", 5353))
    time.sleep(0.1)
"#;

/// Says from 10.77.0.66 as fast as it is told what nobody wants to know, under ever new names: other records without a
/// pointer, and peers that are not there. Prints how many messages it has sent.
const FLOOD: &str = r#"
import os, socket, struct, sys, time
rate = int(sys.argv[1])
out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
out.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
out.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
out.bind(("10.77.0.66", 5353))
out.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("10.77.0.66"))
out.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
def name(text): return b"".join(bytes([len(l)]) + l for l in text.split(b".")) + b"\0"
def record(owner, kind, ttl, data): return name(owner) + struct.pack(">HHIH", kind, 1, ttl, len(data)) + data
TEXT = struct.pack(">HHIH", 16, 0x8001, 4500, 20) + bytes([19]) + b"x" * 19
def texts(word):
    return 20, b"".join(bytes([34]) + word + b"%02d" % n + bytes([5]) + b"local\0" + TEXT for n in range(20))
def peers(word):
    service, instance, host = b"_colis._tcp.local", word + b"._colis._tcp.local", word + b".local"
    told = [b"v=1", b"id=" + word + word, b"name=fake"]
    return 4, b"".join([record(service, 12, 4500, name(instance)), record(instance, 33, 120, struct.pack(">HHH", 0, 0, 9) + name(host)),
        record(instance, 16, 4500, b"".join(bytes([len(t)]) + t for t in told)), record(host, 1, 120, socket.inet_aton("10.77.0.66"))])
begun, sent = time.monotonic(), 0
while True:
    for burst in range(100):
        count, records = (texts, peers)[burst % 2](os.urandom(16).hex().encode())
        out.sendto(struct.pack(">HHHHHH", 0, 0x8400, 0, count, 0, 0) + records, ("224.0.0.251", 5353))
    sent += 100
    print(sent, flush=True)
    time.sleep(max(0, begun + sent / rate - time.monotonic()))
"#;

/// What tcpdump has said so far.
pub type Packets = Arc<Mutex<Vec<String>>>;

/// A process that is killed when it is dropped.
pub struct Running(Child);

/// A flood of multicast DNS that goes on until it is dropped.
pub struct Flood {
    _running: Running,
    said: BufReader<ChildStdout>,
}

impl Flood {
    /// Waits until it has sent so many messages since it began.
    pub fn has_sent(&mut self, messages: usize) {
        let mut line = String::new();
        while line.trim().parse::<usize>().unwrap_or(0) < messages {
            line.clear();
            assert!(
                self.said.read_line(&mut line).unwrap() > 0,
                "the flood ended"
            );
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub struct Net {
    sides: [Running; 2],
}

/// Whether a program is there; says so if it is not.
pub fn can(program: &str, arg: &str) -> bool {
    let there = Command::new(program).arg(arg).output();
    let there = there.is_ok_and(|ran| ran.status.success());
    if !there {
        eprintln!("not tried: it takes {program}");
    }
    there
}

impl Net {
    /// The left side is 10.77.0.1, the right one 10.77.0.2. None, and a line that says so, where that cannot be made.
    pub fn new() -> Option<Self> {
        let net = Self::bare()?;
        for (side, address) in [(LEFT, "10.77.0.1/24"), (RIGHT, "10.77.0.2/24")] {
            net.ip(side, &["addr", "add", address, "dev", "v"]);
        }
        net.come_up();
        Some(net)
    }

    /// Two machines on one cable, without IPv4 and without anybody who gives out addresses: the left side is fe80::1, the
    /// right one fe80::2.
    pub fn link_local() -> Option<Self> {
        let net = Self::bare()?;
        for (side, address) in [(LEFT, "fe80::1/64"), (RIGHT, "fe80::2/64")] {
            net.ip(side, &["link", "set", "v", "addrgenmode", "none"]);
            net.ip(side, &["addr", "add", address, "dev", "v", "nodad"]);
        }
        net.come_up();
        for side in [LEFT, RIGHT] {
            net.ip(side, &["addr", "del", "127.0.0.1/8", "dev", "lo"]);
        }
        Some(net)
    }

    fn bare() -> Option<Self> {
        let can = Command::new("unshare").args(["-n", "ip", "link"]).output();
        if !can.is_ok_and(|ran| ran.status.success()) {
            eprintln!("not tried: it takes root, unshare, nsenter and ip");
            return None;
        }
        let net = Self {
            sides: [(); 2].map(|()| namespace()),
        };
        let right = net.sides[RIGHT].0.id().to_string();
        let cable = [
            "link", "add", "v", "type", "veth", "peer", "name", "v", "netns",
        ];
        net.ip(LEFT, &[&cable[..], &[&right]].concat());
        Some(net)
    }

    fn come_up(&self) {
        for side in [LEFT, RIGHT] {
            self.ip(side, &["link", "set", "v", "up"]);
            self.ip(side, &["link", "set", "lo", "up"]);
        }
        // Before that nobody is announced there: an interface that comes up is noticed seconds later.
        for side in [LEFT, RIGHT] {
            wait_for("the cable is up", || self.is_up(side));
        }
    }

    /// Gives the right side one more address.
    pub fn add_right(&self, address: &str) {
        let address = format!("{address}/24");
        self.ip(RIGHT, &["addr", "add", &address, "dev", "v"]);
    }

    /// Gives the right side another address instead of the one it has.
    pub fn move_right(&self, address: &str) {
        self.ip(RIGHT, &["addr", "flush", "dev", "v", "scope", "global"]);
        self.add_right(address);
    }

    fn is_up(&self, side: usize) -> bool {
        let shown = self.inside(side, "ip").args(["link", "show", "v"]).output();
        String::from_utf8_lossy(&shown.unwrap().stdout).contains("state UP")
    }

    fn ip(&self, side: usize, args: &[&str]) {
        let ran = self.inside(side, "ip").args(args).status().unwrap();
        assert!(ran.success(), "ip {args:?}");
    }

    /// `program` on one side.
    pub fn inside(&self, side: usize, program: &str) -> Command {
        let mut command = self.enter(side);
        command.arg(program).stdin(Stdio::null());
        command
    }

    fn enter(&self, side: usize) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-n", "-t", &self.sides[side].0.id().to_string()]);
        command
    }

    /// A command of `home`, with discovery.
    pub fn run(&self, homes: &Homes, home: &str, side: usize, args: &[&str]) -> Ran {
        self.run_with(homes, home, side, args, true)
    }

    pub fn run_with(
        &self,
        homes: &Homes,
        home: &str,
        side: usize,
        args: &[&str],
        discovery: bool,
    ) -> Ran {
        let mut command = self.command(homes, home, side, args, discovery);
        Ran::from(command.output().unwrap())
    }

    pub fn command(
        &self,
        homes: &Homes,
        home: &str,
        side: usize,
        args: &[&str],
        discovery: bool,
    ) -> Command {
        let mut command = homes.command(home, args);
        command.env("COLIS_DISCOVERY", discovery.to_string());
        around(self.enter(side), &command)
    }

    /// `colis serve` on all addresses of a side, on a free port.
    pub fn serve(&self, homes: &Homes, home: &str, side: usize, discovery: bool) -> Serving {
        self.serve_at(homes, home, side, discovery, "0.0.0.0:0")
    }

    pub fn serve_at(
        &self,
        homes: &Homes,
        home: &str,
        side: usize,
        discovery: bool,
        listen: &str,
    ) -> Serving {
        let args = ["--json", "serve", "--listen", listen];
        homes.serve_by(home, self.command(homes, home, side, &args, discovery))
    }

    /// Says on the right side that a `service` of the peer `id`, `name` is there, on that port.
    pub fn lie(&self, service: &str, id: &str, name: &str, port: u16) -> Running {
        let mut command = self.inside(RIGHT, "python3");
        let command = command.args(["-c", LIE, service, id, name, &port.to_string()]);
        Running(command.spawn().unwrap())
    }

    /// Floods the network from the right side with so many messages a second.
    pub fn flood(&self, rate: usize) -> Flood {
        self.add_right("10.77.0.66");
        let mut command = self.inside(RIGHT, "python3");
        let command = command.args(["-c", FLOOD, &rate.to_string()]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(child.stdout.take().unwrap());
        Flood {
            _running: Running(child),
            said,
        }
    }

    /// The packets of multicast DNS that come `in` on the left from now on, or go `out`: a line each, unless `options` of
    /// tcpdump say more of them.
    pub fn packets(&self, way: &str, options: &[&str]) -> Packets {
        let mut command = self.inside(LEFT, "tcpdump");
        command.args(["--immediate-mode", "-l", "-n", "-i", "v", "-Q", way]);
        command.args(options).args(["port", "5353"]);
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let said = BufReader::new(child.stderr.take().unwrap());
        let mut said = said.lines().map_while(Result::ok);
        assert!(said.any(|line| line.contains("listening on")));
        let out = BufReader::new(child.stdout.take().unwrap());
        let lines = Arc::new(Mutex::new(Vec::new()));
        let shared = lines.clone();
        thread::spawn(move || {
            let _running = Running(child);
            // Until the network ends, which ends it too.
            out.lines()
                .map_while(Result::ok)
                .for_each(|line| shared.lock().unwrap().push(line));
        });
        lines
    }
}

/// A namespace, held by a process that waits until its input ends.
fn namespace() -> Running {
    let mut holder = Command::new("unshare");
    holder.args(["-n", "sh", "-c", "echo; exec cat"]);
    holder.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut holder = holder.spawn().unwrap();
    let mut line = String::new();
    let mut out = BufReader::new(holder.stdout.take().unwrap());
    out.read_line(&mut line).unwrap();
    Running(holder)
}
