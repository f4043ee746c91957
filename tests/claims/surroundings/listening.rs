//! Where to listen, as people write it: on the command line, in the environment, in the file.

use std::{fs, net::TcpStream, process::Command};

use testkit::{Homes, around, net::can};

/// Runs a program without IPv6, as on a system that was started with `ipv6.disable=1`: there are no such sockets.
const WITHOUT_V6: &str = r#"
import ctypes, os, struct, sys
number = {"x86_64": 41, "aarch64": 198}[os.uname().machine]
rules = [(0x20, 0, 0, 0), (0x15, 0, 3, number), (0x20, 0, 0, 16), (0x15, 0, 1, 10), (0x06, 0, 0, 0x00050000 | 97),
         (0x06, 0, 0, 0x7fff0000)]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *rule) for rule in rules))
program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(rules), ctypes.addressof(code)))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, program, 0, 0) == 0, ctypes.get_errno()
os.execvp(sys.argv[1], sys.argv[1:])
"#;

#[test]
fn where_to_listen_is_one_thing_in_flag_variable_and_file() {
    let homes = Homes::new(&[]);
    let config = homes.home("a").join("colis.toml");
    for (text, ip) in [
        (":0", "::"),
        ("0", "::"),
        ("*:0", "::"),
        ("[::]:0", "::"),
        ("0.0.0.0:0", "0.0.0.0"),
        ("127.0.0.1:0", "127.0.0.1"),
        ("localhost:0", "127.0.0.1"),
    ] {
        let by_flag = homes.command("a", &["--json", "serve", "--listen", text]);
        let mut by_variable = homes.command("a", &["--json", "serve"]);
        by_variable.env("COLIS_LISTEN", text);
        let by_file = homes.command("a", &["--json", "serve"]);
        for (way, command) in [by_flag, by_variable, by_file].into_iter().enumerate() {
            if way == 2 {
                fs::write(&config, format!("listen = {text:?}\n")).unwrap();
            }
            let serving = homes.serve_by("a", command);
            assert_eq!(serving.address.ip().to_string(), ip, "{text}");
            TcpStream::connect(("127.0.0.1", serving.address.port())).unwrap();
            homes.ok("a", &["list"]);
        }
        fs::remove_file(&config).unwrap();
    }
}

#[test]
fn what_is_no_address_to_listen_on_is_refused_with_an_example() {
    let homes = Homes::new(&[]);
    let config = homes.home("a").join("colis.toml");
    for text in [
        "",
        ":",
        "host:",
        "box:9443",
        "99999",
        "[::1",
        "fe80::1",
        "127.0.0.1:http",
    ] {
        let said = homes.fails("a", &["serve", "--listen", text], 2);
        assert!(said.contains("for instance 0.0.0.0:9443"), "{text}: {said}");
        let said = homes.fails("a", &["doctor", "--listen", text], 2);
        assert!(said.contains("for instance 0.0.0.0:9443"), "{text}: {said}");
        let said = homes.fails("a", &["config", "set", "listen", text], 3);
        assert!(said.contains("for instance 0.0.0.0:9443"), "{text}: {said}");
        fs::write(&config, format!("listen = {text:?}\n")).unwrap();
        let said = homes.fails("a", &["status"], 3);
        assert!(said.contains("for instance 0.0.0.0:9443"), "{text}: {said}");
        fs::remove_file(&config).unwrap();
        let mut serve = homes.command("a", &["serve"]);
        let ran = testkit::Ran::from(
            serve
                .env("COLIS_LISTEN", format!("x{text}"))
                .output()
                .unwrap(),
        );
        assert_eq!(ran.code, 3, "{text}: {}", ran.err);
        assert!(
            ran.err.contains("COLIS_LISTEN: not an address"),
            "{text}: {}",
            ran.err
        );
    }
}

#[test]
fn all_addresses_are_those_of_ipv4_where_there_is_no_ipv6() {
    if !can("python3", "--version") {
        return;
    }
    let homes = Homes::new(&["b"]);
    let without = |inner: &Command| {
        let mut python = Command::new("python3");
        python.args(["-c", WITHOUT_V6]);
        around(python, inner)
    };
    let serve = homes.command("b", &["--json", "serve", "--listen", ":0"]);
    let b = homes.serve_by("b", without(&serve));
    assert_eq!(b.address.ip().to_string(), "0.0.0.0");
    fs::write(homes.path("f"), "x").unwrap();
    let to = format!("127.0.0.1:{}", b.address.port());
    let sent = without(&homes.command("a", &["send", "f", "--to", &to, "--wait"])).status();
    assert!(sent.unwrap().success());
    let refused = without(&homes.command("a", &["serve", "--listen", "[::1]:0"])).status();
    assert_eq!(refused.unwrap().code(), Some(7));
}
