//! Pairing by a name: who shows a code says in the network where, and the one that joins looks for it.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdout, Command, Stdio},
};

use serde_json::Value;

use super::{id_of, remembered};
use testkit::{
    Homes, Ran,
    net::{LEFT, Net, Packets, RIGHT, can},
    wait_for,
};

/// `colis pair` that shows a code, killed when it is dropped.
pub(super) struct Inviting {
    child: Child,
    out: BufReader<ChildStdout>,
    /// What it said of the code.
    pub(super) said: Value,
}

impl Inviting {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let mut inviting = Self {
            child,
            out,
            said: Value::Null,
        };
        while inviting.said["event"] != "code" {
            inviting.said = inviting.hears();
        }
        inviting
    }

    /// The next object.
    fn hears(&mut self) -> Value {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("{line:?}: {e}"))
    }

    pub(super) fn code(&self) -> &str {
        self.said["code"].as_str().unwrap()
    }

    /// One machine has come, which joined at the first try.
    pub(super) fn ends_well(mut self) {
        let said = self.hears();
        assert_eq!(said["event"], "paired", "{said}");
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Inviting {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `colis pair --name NAME` of a new home of that name, where everybody can come.
fn invite(net: &Net, homes: &Homes, home: &str, side: usize, discovery: bool) -> Inviting {
    invite_at(net, homes, home, side, discovery, "0.0.0.0:8443")
}

pub(super) fn invite_at(
    net: &Net,
    homes: &Homes,
    home: &str,
    side: usize,
    discovery: bool,
    listen: &str,
) -> Inviting {
    let args = ["--json", "pair", "--name", home];
    let mut command = net.command(homes, home, side, &args, discovery);
    command.env("COLIS_LISTEN", listen);
    Inviting::start(command)
}

/// `colis pair TO` of a new home, with a code on standard input.
pub(super) fn join(net: &Net, homes: &Homes, home: &str, to: &str, code: &str) -> Ran {
    join_with(net, homes, home, to, code, true)
}

pub(super) fn join_with(
    net: &Net,
    homes: &Homes,
    home: &str,
    to: &str,
    code: &str,
    discovery: bool,
) -> Ran {
    let args = ["pair", to, "--name", home];
    let mut command = net.command(homes, home, RIGHT, &args, discovery);
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    // A program that has refused already reads nothing.
    let _ = writeln!(child.stdin.take().unwrap(), "{code}");
    Ran::from(child.wait_with_output().unwrap())
}

/// Whether an answer among `packets` says where that code is shown: one with no question before.
fn is_announced(packets: &Packets, inviting: &Inviting) -> bool {
    let at = format!(".local.:{} ", inviting.said["port"]);
    let packets = packets.lock().unwrap();
    let mut answers = packets.iter().filter(|line| line.contains(" 0*- "));
    answers.any(|line| line.contains(&at))
}

/// Nothing of a circle is in that home.
fn is_new(homes: &Homes, home: &str) -> bool {
    !homes.home(home).join("certs").exists()
}

#[test]
fn two_new_machines_pair_by_a_name_and_the_network_hears_nothing_of_the_code() {
    let Some(net) = Net::new() else { return };
    if !can("tcpdump", "--version") {
        return;
    }
    let homes = Homes::new(&[]);
    let packets = net.packets("out", &["-vvv", "-A"]);
    let anna = invite(&net, &homes, "anna", LEFT, true);
    assert_eq!(anna.said["name"], "anna");
    let code = anna.code().to_owned();
    // As it is typed by people who like capitals.
    let joined = join(&net, &homes, "ben", "Anna", &code);
    assert_eq!(joined.code, 0, "{}", joined.err);
    let found = "anna shows a code at 10.77.0.1:8444\n";
    assert!(joined.err.contains(found), "{}", joined.err);
    anna.ends_well();
    assert_eq!(remembered(&homes, "ben", "anna"), ["10.77.0.1:8443"]);
    assert_eq!(remembered(&homes, "anna", "ben"), ["10.77.0.2:8443"]);

    let heard = || packets.lock().unwrap().join("\n");
    wait_for("a goodbye", || {
        heard().contains("_colis-pair._tcp.local. [0s] PTR")
    });
    let (heard, id) = (heard(), id_of(&homes, "anna"));
    // The text record, as a whole.
    let told = format!("TXT \"v=1\" \"id={id}\" \"name=anna\"");
    let [texts, longer] =
        ["TXT \"".to_owned(), format!("{told} \"")].map(|text| heard.matches(&text).count());
    assert_eq!(
        (heard.matches(&told).count(), longer),
        (texts, 0),
        "{heard}"
    );
    assert!(texts > 0, "{heard}");
    let (_, words) = code.split_once('-').unwrap();
    assert!(!heard.contains(words), "{heard}");
}

#[test]
fn a_name_that_nobody_has_is_said_before_a_code_is_asked_for() {
    let Some(net) = Net::new() else { return };
    let homes = Homes::new(&[]);
    let _anna = invite(&net, &homes, "anna", LEFT, true);
    // Not even read: it is no code.
    let refused = join(&net, &homes, "ben", "carl", "no code at all");
    assert_eq!(refused.code, 6, "{}", refused.err);
    for said in [
        "nobody in this network shows a code as carl",
        "hint: type the address that the other machine shows",
    ] {
        assert!(refused.err.contains(said), "{}", refused.err);
    }
    assert!(is_new(&homes, "ben"));
}

#[test]
fn two_machines_of_one_name_are_not_chosen_from_and_lose_no_try() {
    let Some(net) = Net::new() else { return };
    if !can("tcpdump", "--version") {
        return;
    }
    let (homes, others) = (Homes::new(&[]), Homes::new(&[]));
    let packets = net.packets("out", &[]);
    let anna = invite(&net, &homes, "anna", LEFT, true);
    // Port 8444 is taken there.
    let mut other = invite(&net, &others, "anna", LEFT, true);
    for one in [&anna, &other] {
        wait_for("an announcement", || is_announced(&packets, one));
    }
    let refused = join(&net, &homes, "ben", "anna", anna.code());
    assert_eq!(refused.code, 2, "{}", refused.err);
    let places = [&anna, &other].map(|one| format!("10.77.0.1:{}", one.said["port"]));
    assert!(
        refused.err.contains("2 machines show a code as anna: "),
        "{}",
        refused.err
    );
    for place in &places {
        assert!(refused.err.contains(place), "{}", refused.err);
    }
    assert!(is_new(&homes, "ben"));
    let joined = join(&net, &homes, "ben", &places[0], anna.code());
    assert_eq!(joined.code, 0, "{}", joined.err);
    anna.ends_well();
    // Now there is one, whose first event is a wrong code.
    let refused = join(&net, &homes, "carl", "anna", "1-lotus-castor");
    assert_eq!(refused.code, 4, "{}", refused.err);
    let said = other.hears();
    assert_eq!(
        (&said["event"], &said["left"]),
        (&"wrong-code".into(), &2.into())
    );
}

#[test]
fn a_forged_announcement_leads_to_a_refusal_and_costs_the_honest_machine_no_try() {
    let Some(net) = Net::new() else { return };
    if !can("python3", "--version") {
        return;
    }
    let (homes, others) = (Homes::new(&[]), Homes::new(&[]));
    // Two lies: nobody is there, and somebody who waits for codes.
    let mut liar = invite(&net, &others, "anna", RIGHT, false);
    let anna = invite(&net, &homes, "anna", LEFT, false);
    let id = id_of(&homes, "anna");
    for (port, code) in [(Value::from(9), 8), (liar.said["port"].clone(), 4)] {
        let port = port.as_u64().unwrap().try_into().unwrap();
        let lying = net.lie("_colis-pair._tcp.local", &id, "anna", port);
        let refused = join(&net, &homes, "ben", "anna", anna.code());
        assert_eq!(refused.code, code, "{}", refused.err);
        assert!(
            refused.err.contains(&format!("10.77.0.2:{port}")),
            "{}",
            refused.err
        );
        assert!(is_new(&homes, "ben"));
        drop(lying);
    }
    assert_eq!(liar.hears()["event"], "wrong-code");
    let joined = join(&net, &homes, "ben", "10.77.0.1", anna.code());
    assert_eq!(joined.code, 0, "{}", joined.err);
    anna.ends_well();
}

#[test]
fn a_host_of_that_name_comes_first_and_the_network_if_nobody_listens_there() {
    let Some(net) = Net::new() else { return };
    let homes = Homes::new(&[]);
    // Every machine knows a host of this name: itself.
    let far = invite(&net, &homes, "localhost", LEFT, true);
    let near = invite_at(&net, &homes, "near", RIGHT, true, "127.0.0.1:8443");
    assert_eq!(near.said["name"], Value::Null);
    let joined = join(&net, &homes, "ben", "localhost", near.code());
    assert_eq!(joined.code, 0, "{}", joined.err);
    assert_eq!(remembered(&homes, "ben", "near"), ["localhost:8443"]);
    near.ends_well();
    let joined = join(&net, &homes, "carl", "localhost", far.code());
    assert_eq!(joined.code, 0, "{}", joined.err);
    assert_eq!(remembered(&homes, "carl", "localhost"), ["10.77.0.1:8443"]);
    far.ends_well();
}

#[test]
fn switched_off_or_on_the_loopback_no_code_is_announced_and_no_name_looked_for() {
    let Some(net) = Net::new() else { return };
    if !can("tcpdump", "--version") {
        return;
    }
    let homes = Homes::new(&[]);
    let [from_right, from_left] = ["in", "out"].map(|way| net.packets(way, &[]));
    let anna = invite(&net, &homes, "anna", LEFT, true);
    let off = invite(&net, &homes, "off", RIGHT, false);
    let alone = invite_at(&net, &homes, "alone", RIGHT, true, "127.0.0.1:8443");
    assert_eq!([&off.said["name"], &alone.said["name"]], [&Value::Null; 2]);
    let refused = join_with(&net, &homes, "ben", "anna", anna.code(), false);
    assert_eq!(refused.code, 8, "{}", refused.err);
    for said in [
        "looking for anna in the network is switched off",
        "hint: type the address that the other machine shows",
    ] {
        assert!(refused.err.contains(said), "{}", refused.err);
    }
    let joined = join_with(&net, &homes, "ben", "10.77.0.2", off.code(), false);
    assert_eq!(joined.code, 0, "{}", joined.err);

    // Whoever starts now has announced itself later than those would have. Port 8444 is anna's.
    let on = invite(&net, &homes, "on", LEFT, true);
    wait_for("an announcement", || is_announced(&from_left, &on));
    let heard = from_right.lock().unwrap().clone();
    assert!(heard.is_empty(), "{heard:?}");

    // That ear is a good one too.
    let _told = invite(&net, &homes, "told", RIGHT, true);
    wait_for("it is heard", || !from_right.lock().unwrap().is_empty());
}
