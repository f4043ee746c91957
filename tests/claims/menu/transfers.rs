//! Sending, fetching, and what arrives meanwhile.

use std::fs;

use testkit::person::{DOWN, Person, address_of, set};
use testkit::{Homes, bytes};

fn asks_for_files(person: &mut Person) {
    person.presses("2");
    person.sees("3  Share");
    person.presses("1");
    person.sees("Files or folders");
}

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
    asks_for_files(&mut person);
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
    person.presses("1\r");
    person.sees("Send photos and 1 more (2.9 KiB) to b?");
    person.presses("1");
    person.sees("Its address");
    person.types("no address");
    person.sees("bad address");
    person.types(&b.to());
    person.sees("stored durably");
    person.sees("photos and 1 more to b: done");
    person.sees_menu();
    // The second time the peer is only chosen, by Enter where one is. No is no.
    asks_for_files(&mut person);
    person.types("~/my\\ file.txt");
    person.sees(&format!("1  b  {}", b.to()));
    person.presses("\r");
    person.sees("Send my file.txt (5 B) to b?");
    person.presses("3");
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
    asks_for_files(&mut person);
    person.types("~/secret.txt");
    person.sees(&format!("b  {}", b.to()));
    person.presses("1\r");
    person.sees("Send secret.txt");
    person.presses("2");
    person.sees("Whoever has a password can open it too");
    person.presses("1\r");
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
        person.presses("3");
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
    person.presses("3");
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
fn an_arrival_is_shown_above_the_menu_and_above_a_line_that_is_typed() {
    let homes = Homes::new(&["b"]);
    fs::write(homes.path("gift\u{1b}[2J.txt"), "for you").unwrap();
    fs::write(homes.path("second.txt"), "for you").unwrap();
    let mut person = Person::at_menu(&homes, "a");
    let a = address_of(&homes, "a");
    homes.ok("b", &["send", "gift\u{1b}[2J.txt", "--to", &a]);
    person.sees("* received 7 B from b: ");
    let rest = person.sees("0  Quit");
    assert!(
        rest.starts_with("~/a/received/gift") && !rest.contains("gift\u{1b}"),
        "{rest:?}"
    );
    // Above a line that is being typed, which stays as it is.
    asks_for_files(&mut person);
    person.presses("half a li");
    person.sees("half a li");
    homes.ok("b", &["send", "second.txt", "--to", &a]);
    person.sees("* received 7 B from b: ~/a/received/second.txt");
    person.sees("half a li");
    person.presses("ne");
    person.sees("half a line");
    let screen = person.screen();
    assert!(
        screen.last().unwrap().ends_with("half a line"),
        "{screen:?}"
    );
    assert!(
        screen
            .iter()
            .any(|line| line == "* received 7 B from b: ~/a/received/second.txt")
    );
    person.presses(testkit::person::CTRL_D);
    person.sees_menu();
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
fn the_menu_is_used_while_transfers_run() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &["--inbox", "off"]);
    homes.ok("a", &["peers", "add", &b.to()]);
    fs::write(homes.path("big.bin"), bytes(7, 12 << 20)).unwrap();
    fs::write(homes.path("gift.txt"), "for you").unwrap();
    homes.ok("b", &["share", "gift.txt", "--to", "a"]);
    set(&homes, "a", "limit", "1MiB");
    let mut person = Person::at_sized_menu(&homes, "a", 30, 100);
    let send = |person: &mut Person| {
        asks_for_files(person);
        person.types("~/big.bin");
        person.sees("others: names");
        person.presses("1\r");
        person.sees("Send big.bin (12 MiB) to b?");
        person.presses("1");
        person.sees("What next?");
    };
    send(&mut person);
    person.sees_like(r"  big.bin to b  [1-9][0-9]?% of 12 MiB  ");
    // Something is fetched meanwhile.
    person.presses("3");
    person.sees("another address...");
    person.presses("1");
    person.sees("gift.txt");
    person.presses(" \r");
    person.sees("gift.txt from b: done");
    // And something is typed, below a line that moves on.
    person.sees("0  Quit");
    person.presses("2");
    person.sees("3  Share");
    person.presses("2");
    person.sees("Message: ");
    person.presses("hello");
    person.sees("hello");
    for _ in 0..3 {
        person.sees_like(r"big.bin to b  [1-9][0-9]?% of 12 MiB");
        person.sees("\u{1b}[?25h");
    }
    let screen = person.screen();
    let [.., line, typed] = &screen[..] else {
        panic!("{screen:?}");
    };
    assert!(line.starts_with("  big.bin to b  "), "{screen:?}");
    assert_eq!(typed, "Message: hello");
    person.presses(testkit::person::ESC);
    person.sees("5  Transfers: 1 running");
    is_cancelled_and_done_again(&homes, &mut person);
    person.presses("0");
    assert_eq!(person.ends(), 0);
}

/// What runs is cancelled, and done again from where it was.
fn is_cancelled_and_done_again(homes: &Homes, person: &mut Person) {
    person.presses("5");
    person.sees("2  gift.txt from b  done");
    person.presses("1");
    person.sees("Cancel big.bin to b?");
    person.presses("\r");
    person.sees("5  Transfers: 1 running");
    person.presses("5");
    person.sees("2  gift.txt from b  done");
    person.presses("1");
    person.sees("Cancel big.bin to b?");
    person.presses("y");
    person.sees("big.bin to b: cancelled; what was transferred is kept");
    person.sees("5  Transfers that ended");
    set(homes, "a", "limit", "1GiB");
    person.presses("5");
    person.sees("big.bin to b  cancelled");
    person.presses("1");
    person.sees("1  Do it again");
    person.presses("1");
    person.sees("of 12 chunks already there");
    person.sees("big.bin to b: done");
}

#[test]
fn several_get_a_message_and_one_of_them_is_typed() {
    let homes = Homes::new(&["b", "c"]);
    let (b, c) = (homes.serve("b", &[]), homes.serve("c", &[]));
    homes.ok("a", &["peers", "add", &b.to()]);
    let mut person = Person::at_menu(&homes, "a");
    person.presses("2");
    person.sees("3  Share");
    person.presses("2");
    person.sees("Message");
    person.types("-");
    person.sees("says more than that");
    person.types("see you at noon");
    person.sees("others: names");
    person.presses("13\r");
    person.sees("Names or addresses");
    person.types("nobody, b");
    person.sees("nobody: neither a known name nor an address");
    person.types(&format!("b, {}", c.to()));
    person.sees("Send this message to b, c?");
    person.presses("1");
    person.sees("a message to b, c: done");
    person.sees_menu();
    person.quits();
    for home in ["b", "c"] {
        testkit::wait_for("the message", || {
            homes.ok(home, &["history"]).contains("from a")
        });
    }
}

#[test]
fn a_relay_keeps_what_is_for_who_is_off() {
    let homes = Homes::new(&["b", "c"]);
    fs::write(homes.path("f.txt"), "later").unwrap();
    let c = homes.serve("c", &[]);
    homes.ok("a", &["peers", "add", &c.to()]);
    let b = homes.serve("b", &[]);
    homes.ok("a", &["peers", "add", &b.to()]);
    drop(b);
    let mut person = Person::at_menu(&homes, "a");
    asks_for_files(&mut person);
    person.types("~/f.txt");
    person.sees("To whom?");
    let listed = person.sees("others: names");
    let key_of = |name: &str| {
        let line = listed
            .lines()
            .find(|line| line.contains(&format!("  {name}  ")));
        let line = line.unwrap_or_else(|| panic!("{name}: {listed}"));
        line.trim_start_matches(['>', ' ', '[', ']'])
            .chars()
            .next()
            .unwrap()
            .to_string()
    };
    person.presses(&format!("{}\r", key_of("b")));
    person.sees("3  Do not send it");
    person.presses("2");
    person.sees("By a relay");
    person.presses("2\r");
    person.sees("By whom?");
    person.sees("others: names");
    person.presses(&format!("{}\r", key_of("c")));
    person.sees("to b via c");
    person.sees("f.txt to b: done");
    person.sees_menu();
    person.quits();
    assert!(homes.ok("c", &["list"]).contains("  5 B"), "c has it");
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
    person.presses("4");
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
    person.presses("4");
    person.sees("nothing waits");
    person.sees_menu();
    homes.ok("b", &["send", "good.txt", "--to", &a]);
    person.sees("* 4 B from b waits for a yes: see Arrivals");
    person.presses("4");
    person.sees("good.txt  4 B  from b");
    person.presses(" \r");
    person.sees("3  Refuse");
    person.presses("2");
    person.sees("colis inbox accept");
    person.sees("3  Refuse");
    person.presses("1");
    person.sees("received/good.txt");
    person.sees("that waits: done");
    homes.ok("b", &["send", "bad.txt", "--to", &a]);
    person.sees("waits for a yes");
    person.presses("4");
    person.sees("bad.txt  7 B  from b");
    person.presses(" \r");
    person.sees("3  Refuse");
    person.presses("3");
    person.sees("Refuse it?");
    person.presses("y");
    person.sees("refused, from b");
    person.sees_menu();
    person.quits();
    let received = homes.home("a").join("received");
    assert!(received.join("good.txt").exists() && !received.join("bad.txt").exists());
}
