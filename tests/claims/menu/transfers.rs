//! Sending, fetching, and what arrives meanwhile.

use std::fs;

use testkit::person::{DOWN, Person, address_of, set};
use testkit::{Homes, bytes};

#[test]
fn what_is_dropped_is_sent_to_a_peer_that_is_chosen() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &[]);
    fs::write(homes.path("my file.txt"), "hello").unwrap();
    fs::create_dir(homes.path("photos")).unwrap();
    fs::write(homes.path("photos/1.jpg"), bytes(1, 3000)).unwrap();
    let root = homes.path("").display().to_string();
    let root = root.trim_end_matches('/');
    let mut person = Person::at_menu(&homes, "a");
    person.presses("1");
    person.sees("Files or folders");
    person.types("/no/such/file");
    person.sees("/no/such/file: not found");
    person.types("'/not closed");
    person.sees("' is not closed");
    person.sees("Files or folders");
    // Tab completes; the rest is as a terminal writes what is dropped.
    person.presses(&format!("{root}/phot\t"));
    person.sees("photos/");
    person.types(&format!(" '{root}/my file.txt' "));
    person.sees("To whom?");
    person.sees("1  b  no address yet");
    person.presses("1");
    person.sees("Its address");
    person.types("no address");
    person.sees("bad address");
    person.types(&b.to());
    person.sees("2  b, and whoever has a password");
    person.presses("1");
    person.sees("Send photos and 1 more (2.9 KiB) to b?");
    person.presses("y");
    person.sees("stored durably");
    person.sees_menu();
    // The second time the peer is only chosen. No is no.
    person.presses("1");
    person.sees("Files or folders");
    person.types("~/my\\ file.txt");
    person.sees(&format!("1  b  {}", b.to()));
    person.presses("1");
    person.sees("Encrypt for whom?");
    person.presses("1");
    person.sees("Send my file.txt (5 B) to b?");
    person.presses("n");
    let before = person.sees_menu();
    assert!(!before.contains("stored"), "{before}");
    person.quits();
    let received = homes.home("b").join("received");
    testkit::wait_for("both files", || {
        received.join("my file.txt").exists() && received.join("photos/1.jpg").exists()
    });
}

#[test]
fn a_password_is_asked_for_twice_when_sending_and_once_when_fetching() {
    let homes = Homes::new(&["b", "c"]);
    let b = homes.serve("b", &["--inbox", "off"]);
    fs::write(homes.path("secret.txt"), "secret").unwrap();
    homes.ok("a", &["peers", "add", &b.to()]);
    let mut person = Person::at_menu(&homes, "a");
    person.presses("1");
    person.sees("Files or folders");
    person.types("~/secret.txt");
    person.sees(&format!("b  {}", b.to()));
    person.presses("1");
    person.sees("whoever has a password");
    person.presses("2");
    person.sees("Send secret.txt");
    person.presses("y");
    person.sees("Password: ");
    person.types("correct horse");
    person.sees("Once more: ");
    person.types("wrong horse");
    person.sees("They differ");
    person.sees("Password: ");
    person.types("correct horsx\u{7f}e");
    person.sees("Once more: ");
    person.types("correct horse");
    let shown = person.sees("stored durably");
    assert!(!shown.contains("horse"), "the password is shown: {shown}");
    person.sees_menu();
    person.quits();
    // c is no recipient, and has the password.
    homes.ok("c", &["peers", "add", &b.to()]);
    let mut person = Person::at_menu(&homes, "c");
    for (password, becomes) in [("wrong", "password"), ("correct horse", "secret.txt")] {
        person.presses("2");
        person.sees("From whom?");
        let before = person.sees("another address...");
        // a is known by its certificate, and comes first.
        let place = before.lines().filter(|line| line.contains("  b  ")).count();
        assert_eq!(place, 1, "{before}");
        person.presses("2");
        person.sees("(locked by a password)");
        person.presses(" \r");
        person.sees("Password: ");
        person.types(password);
        person.sees(becomes);
        person.sees_menu();
    }
    person.quits();
    assert_eq!(
        fs::read(homes.home("c").join("received/secret.txt")).unwrap(),
        b"secret"
    );
}

#[test]
fn several_are_fetched_at_once_by_name_size_sender_and_date() {
    let homes = Homes::new(&["b"]);
    for name in ["one.txt", "two.txt", "three.txt"] {
        fs::write(homes.path(name), name).unwrap();
        homes.ok("b", &["share", name, "--to", "a"]);
    }
    let b = homes.serve("b", &[]);
    homes.ok("a", &["peers", "add", &b.to()]);
    let mut person = Person::at_menu(&homes, "a");
    person.presses("2");
    person.sees("another address...");
    person.presses("1");
    person.sees("Which?");
    let mut listed = String::new();
    for _ in 0..3 {
        listed.push_str(&person.sees("from b  today "));
    }
    assert!(
        listed.contains(".txt  3 B") || listed.contains(".txt  7 B"),
        "{listed}"
    );
    // Enter without a mark takes nothing.
    person.presses("\r");
    person.sees("nothing was chosen");
    person.sees_menu();
    person.presses("2");
    person.sees("another address...");
    person.presses("1");
    person.sees("Which?");
    for _ in 0..3 {
        person.sees("from b  today ");
    }
    person.presses(&format!(" {DOWN} \r"));
    person.sees("B from b");
    person.sees("B from b");
    person.sees_menu();
    person.quits();
    let received = fs::read_dir(homes.home("a").join("received")).unwrap();
    let files = received.filter(|entry| entry.as_ref().unwrap().path().is_file());
    assert_eq!(
        files.count(),
        2 + 1,
        "two, and the one that marks the folder"
    );
}

#[test]
fn an_arrival_is_shown_above_the_menu_and_waits_for_the_end_of_other_prompts() {
    let homes = Homes::new(&["b"]);
    fs::write(homes.path("gift\u{1b}[2J.txt"), "for you").unwrap();
    fs::write(homes.path("second.txt"), "for you").unwrap();
    let mut person = Person::at_menu(&homes, "a");
    let a = address_of(&homes, "a");
    homes.ok("b", &["send", "gift\u{1b}[2J.txt", "--to", &a]);
    // Room below, up over ten lines, one inserted, and down again: the list stays where the cursor thinks it is.
    person.sees("\n\u{1b}[12A\u{1b}[L* received 7 B from b: ");
    let rest = person.sees("\u{1b}[12B");
    assert!(
        rest.starts_with("~/a/received/gift") && !rest.contains("\u{1b}[2J"),
        "{rest:?}"
    );
    // In a line that is being typed nothing appears.
    person.presses("1");
    person.sees("Files or folders");
    person.presses("half a li");
    person.sees("half a li");
    homes.ok("b", &["send", "second.txt", "--to", &a]);
    let received = homes.home("a").join("received/second.txt");
    testkit::wait_for("the second file", || received.exists());
    person.presses("ne");
    let typed = person.sees("ne");
    assert!(!typed.contains("received"), "{typed:?}");
    person.presses(&format!("{}\r", "\u{7f}".repeat(11)));
    // Said before the list, or above it: the file is there a moment before its arrival is told.
    let said = "* received 7 B from b: ~/a/received/second.txt";
    if !person.sees_menu().contains(said) {
        person.sees(said);
    }
    person.quits();
    let logs = fs::read_dir(homes.home("a").join("logs")).unwrap();
    let log = logs.map(|file| fs::read_to_string(file.unwrap().path()).unwrap());
    let log = log.collect::<String>();
    assert_eq!(log.matches("\"message\":\"opened\"").count(), 2, "{log}");
    assert!(
        !log.contains("gift") && !log.contains("second.txt"),
        "{log}"
    );
}

#[test]
fn what_is_arriving_is_seen_and_its_sender_is_told_that_it_is_not_wanted() {
    let homes = Homes::new(&["b"]);
    fs::write(homes.path("film"), testkit::bytes(1, 8 << 20)).unwrap();
    let mut person = Person::at_menu(&homes, "a");
    let a = address_of(&homes, "a");
    let mut sending = homes.command("b", &["send", "film", "--to", &a, "--limit", "128KiB"]);
    let mut sending = sending.stderr(std::process::Stdio::null()).spawn().unwrap();
    testkit::wait_for("an arrival", || {
        homes.ok("a", &["inbox"]).contains("arriving: ")
    });
    person.presses("7");
    person.sees("arriving: ");
    person.presses(" \r");
    person.sees("2  Take no more of it");
    person.presses("2");
    person.sees("stopped: ");
    person.sees_menu();
    assert_eq!(sending.wait().unwrap().code(), Some(10));
    person.quits();
}

#[test]
fn what_waits_for_a_yes_is_looked_at_opened_or_refused() {
    let homes = Homes::new(&["b"]);
    set(&homes, "a", "inbox", "ask");
    fs::write(homes.path("good.txt"), "good").unwrap();
    fs::write(homes.path("bad.txt"), "bad bad").unwrap();
    let mut person = Person::at_menu(&homes, "a");
    let a = address_of(&homes, "a");
    person.presses("7");
    person.sees("nothing waits");
    person.sees_menu();
    homes.ok("b", &["send", "good.txt", "--to", &a]);
    person.sees("* 4 B from b waits for a yes: see Arrivals");
    person.presses("7");
    person.sees("good.txt  4 B  from b");
    person.presses(" \r");
    person.sees("3  Refuse");
    person.presses("2");
    person.sees("colis inbox accept");
    person.sees("3  Refuse");
    person.presses("1");
    person.sees("received/good.txt");
    person.sees_menu();
    homes.ok("b", &["send", "bad.txt", "--to", &a]);
    person.sees("waits for a yes");
    person.presses("7");
    person.sees("bad.txt  7 B  from b");
    person.presses(" \r");
    person.sees("3  Refuse");
    person.presses("3");
    person.sees("refused, from b");
    person.sees_menu();
    person.quits();
    let received = homes.home("a").join("received");
    assert!(received.join("good.txt").exists() && !received.join("bad.txt").exists());
}
