//! Roles as a person gives them.

use std::fs;

use super::{certs, curl};
use colis::{
    session::Session,
    trust::{Bearer, Role},
};
use testkit::{Homes, wait_for};

#[test]
fn a_reader_gets_what_is_for_it_and_a_sender_sees_its_own() {
    let homes = Homes::new(&["b", "c"]);
    let a = homes.serve("a", &["--inbox", "off"]);
    for name in ["for-b.txt", "for-c.txt", "from-c.txt"] {
        fs::write(homes.path(name), name).unwrap();
    }
    let to = a.to();
    for name in ["b", "c"] {
        homes.ok(name, &["list", &to]);
    }
    homes.ok("a", &["share", "for-b.txt", "--to", "b"]);
    homes.ok("a", &["share", "for-c.txt", "--to", "c"]);
    let transfers = |home: &str| {
        let listed = homes.ok(home, &["--json", "list", "a"]);
        listed
            .lines()
            .filter(|line| line.contains("\"transfer\""))
            .count()
    };
    assert_eq!(
        (transfers("b"), transfers("c")),
        (2, 2),
        "members see everything"
    );
    let said = homes.ok("a", &["peers", "role", "b", "reader"]);
    assert_eq!(said, "b: reader\n");
    homes.ok("a", &["peers", "role", "c", "sender"]);
    assert!(homes.ok("a", &["peers"]).contains("  reader  "));
    wait_for("the roles count", || {
        (transfers("b"), transfers("c")) == (1, 0)
    });
    homes.ok("b", &["receive", "--from", "a", "--all"]);
    assert!(homes.home("b").join("received/for-b.txt").exists());
    let refused = homes.fails("b", &["send", "for-c.txt", "--to", "a"], 4);
    assert!(refused.contains("your role here is reader"), "{refused}");
    // A transfer of many chunks, twice: what it has put counts.
    homes.ok("c", &["send", "from-c.txt", "--to", "a"]);
    assert_eq!(transfers("c"), 1);
    assert_eq!(transfers("b"), 1);
    let all = homes.ok("a", &["--json", "list"]);
    assert_eq!(all.matches("\"event\":\"transfer\"").count(), 3, "{all}");
}

#[test]
fn whoever_is_blocked_is_out_and_told_so_until_it_is_let_in_again() {
    let homes = Homes::new(&["b"]);
    let a = homes.serve("a", &[]);
    let list = ["list", &a.to()];
    homes.ok("b", &list);
    homes.ok("a", &["peers", "block", "b"]);
    wait_for("b is out", || homes.run("b", &list).code == 4);
    let said = homes.fails("b", &list, 4);
    assert!(
        said.contains("its owner has blocked us") && said.contains("colis peers role"),
        "{said}"
    );
    // Forgetting lets nobody in.
    homes.ok("a", &["peers", "forget", "b"]);
    let id = homes.ok("b", &["--json", "status"]);
    let id: serde_json::Value = serde_json::from_str(&id).unwrap();
    let id = id["peer_id"].as_str().unwrap();
    assert!(
        homes
            .ok("a", &["peers"])
            .contains(&format!("(not known)  {}  none\n", &id[..8]))
    );
    homes.fails("b", &list, 4);
    homes.ok("a", &["peers", "role", id, "member"]);
    wait_for("b is in", || homes.run("b", &list).code == 0);
    homes.fails("a", &["peers", "role", "a", "reader"], 2);
    homes.fails("a", &["peers", "role", "nobody", "reader"], 6);
}

#[test]
fn scripts_can_have_a_role_of_their_own_and_newcomers_another_default() {
    let homes = Homes::new(&["b"]);
    fs::write(
        homes.home("a").join("colis.toml"),
        "default_role = \"none\"\n",
    )
    .unwrap();
    let a = homes.serve("a", &[]);
    let list = ["list", &a.to()];
    homes.fails("b", &list, 4);
    homes.ok("a", &["peers", "role", "b", "member"]);
    wait_for("b is in", || homes.run("b", &list).code == 0);
    let url = format!("https://localhost:{}/v1", a.address.port());
    let put = |home: &str| {
        let chunk = format!("{url}/chunks/{}", colis::id::ChunkId::of(&[7; 100]));
        fs::write(homes.path("chunk"), [7; 100]).unwrap();
        let path = homes.path("chunk");
        let args = [
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}",
            "-T",
            path.to_str().unwrap(),
            &chunk,
        ];
        curl(&homes, home, &args).out
    };
    assert_eq!(put("b"), "201");
    assert_eq!(put("a"), "200", "the owner's own");
    homes.ok("a", &["peers", "role", "b", "reader", "--script"]);
    homes.ok("a", &["peers", "role", "a", "reader", "--script"]);
    wait_for("scripts only read", || {
        put("b") == "403" && put("a") == "403"
    });
    homes.ok("b", &list);
    homes.ok("a", &["peers", "block", "b"]);
    wait_for("with their peer, scripts are out", || put("b") == "000");
    // A damaged book changes nothing for whoever is served.
    let book = certs(&homes, "a").peers();
    let good = fs::read(&book).unwrap();
    fs::write(&book, "{").unwrap();
    wait_for("it is noticed", || {
        homes.log("a").contains("roles unchanged")
    });
    assert_eq!(put("b"), "000");
    fs::write(&book, good).unwrap();
}

/// A program keeps its session open: what it has said of a peer counts in it at once.
#[tokio::test]
async fn a_peer_that_a_session_blocks_is_blocked_in_that_session() {
    let homes = Homes::new(&["b"]);
    let a = homes.serve("a", &["--inbox", "off"]);
    fs::write(homes.path("file"), "x").unwrap();
    homes.ok("b", &["send", "file", "--to", &a.to()]);
    let session = Session::open(homes.home("a")).unwrap();
    let store = session.store_of(None).await.unwrap();
    for (role, blocked) in [(Role::None, true), (Role::Member, false)] {
        let row = session.set_role("b", Bearer::Peer, role).await.unwrap();
        assert_eq!(session.role_of(row.peer_id, Bearer::Peer).unwrap(), role);
        let listed = session.list(&*store).await.unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0].from.blocked, blocked, "{role}");
    }
    let itself = session.set_role("a", Bearer::Peer, Role::None).await;
    assert!(itself.is_err(), "{itself:?}");
}
