//! Rows 76, 77 and 80: settings.

use std::{fs, net::TcpListener};

use testkit::Homes;
use testkit::site::{Site, assert_clean};

/// With this `colis.toml` every command fails and says `what`, with the place.
fn is_refused(homes: &Homes, text: &str, what: &str) {
    fs::write(homes.home("a").join("colis.toml"), text).unwrap();
    for args in [&["status"][..], &["serve", "--listen", "127.0.0.1:0"]] {
        let said = homes.fails("a", args, 3);
        assert!(said.contains("colis.toml:"), "{text:?} said {said}");
        assert!(said.contains(what), "{text:?} said {said}");
        assert_clean(&said);
    }
}

pub(crate) fn row_76_a_file_that_is_no_settings() {
    let homes = Homes::new(&[]);
    for (text, what) in [
        ("listen", "colis.toml:1:"),
        (
            "inbox = \"off\"\nqouta = \"1GiB\"\n",
            "2:1: unknown key `qouta`; did you mean `quota`?",
        ),
        ("quota = 5\n", "1:9: "),
        ("inbox = true\n", "1:9: "),
        ("inbox = \"maybe\"\n", "1:9: "),
        ("jobs = \"four\"\n", "1:8: "),
        ("jobs = 1\njobs = 2\n", "2:1: "),
        ("[section]\nx = 1\n", "unknown key `section`"),
        ("\"\\u001b[31m\" = 1\n", "unknown key"),
        ("\u{feff}\u{feff}", "colis.toml:1:"),
    ] {
        is_refused(&homes, text, what);
    }
    fs::write(homes.home("a").join("colis.toml"), b"\xff").unwrap();
    let code = homes.run("a", &["status"]).code;
    assert_eq!(code, 3);
}

pub(crate) fn row_77_values_that_cannot_be() {
    let homes = Homes::new(&[]);
    for (text, what) in [
        ("quota = \"-1\"\n", "not a size"),
        ("quota = \"1.5GiB\"\n", "not a size"),
        ("quota = \"99999999TiB\"\n", "not a size"),
        ("reserve = \"much\"\n", "not a size"),
        ("keep_opened = \"-1d\"\n", "not a time"),
        ("keep_opened = \"soon\"\n", "not a time"),
        (
            "listen = \"0.0.0.0:99999\"\n",
            "1:10: not an address to listen on",
        ),
        ("listen = \"nowhere:1\"\n", "for instance 0.0.0.0:9443"),
        ("jobs = -1\n", "1:8: "),
    ] {
        is_refused(&homes, text, what);
    }
    fs::remove_file(homes.home("a").join("colis.toml")).unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let said = homes.fails("a", &["serve", "--listen", &address], 7);
    assert!(said.contains("in use by another process"), "{said}");
    assert!(said.contains("hint: choose another: --listen"), "{said}");
    let said = homes.fails("a", &["serve", "--listen", "203.0.113.1:1"], 7);
    assert!(said.contains("cannot listen on 203.0.113.1:1"), "{said}");
}

pub(crate) fn row_80_proxies_of_the_environment() {
    let site = Site::default();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    nobody.set_nonblocking(true).unwrap();
    let proxy = format!("http://{}", nobody.local_addr().unwrap());
    let mut command = site.homes.command("b", &["list", &site.serving.to()]);
    for name in [
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "http_proxy",
        "https_proxy",
        "all_proxy",
    ] {
        command.env(name, &proxy);
    }
    let ran = command.output().unwrap();
    assert!(
        ran.status.success(),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    assert!(nobody.accept().is_err(), "the proxy was asked");
}
