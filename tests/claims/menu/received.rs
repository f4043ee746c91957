//! Where received files are, in the menu: asked for, said with each arrival, and opened where there is a desktop.

use std::{fs, os::unix::fs::PermissionsExt as _, process::Command};

use testkit::person::{Person, address_of, free_port};
use testkit::{Homes, wait_for};

fn at_terminal(homes: &Homes, mut command: Command) -> Person {
    command.env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY");
    Person::at_terminal(homes, command, "xterm-256color")
}

/// A menu of home a, whose programs are those of the system and what `opener` does as `xdg-open`.
fn with_desktop(homes: &Homes, opener: &str) -> Person {
    let bin = homes.path("bin");
    fs::create_dir_all(&bin).unwrap();
    fs::write(bin.join("xdg-open"), format!("#!/bin/sh\n{opener}\n")).unwrap();
    fs::set_permissions(bin.join("xdg-open"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = std::env::var("PATH").unwrap();
    let mut command = homes.command("a", &[]);
    command.env("PATH", format!("{}:{path}", bin.display()));
    command.env("COLIS_LISTEN", format!("127.0.0.1:{}", free_port()));
    command
        .env_remove("DISPLAY")
        .env("WAYLAND_DISPLAY", "wayland-9");
    Person::at_terminal(homes, command, "xterm-256color")
}

#[test]
fn the_first_run_asks_where_received_files_appear() {
    let homes = Homes::new(&[]);
    let mut command = homes.command("new", &[]);
    command.env("COLIS_LISTEN", format!("127.0.0.1:{}", free_port()));
    let mut person = at_terminal(&homes, command);
    person.sees("1  Make a circle");
    person.presses("1");
    person.sees("Name of this machine");
    person.types("anna");
    person.sees("Folder for received files");
    person.sees(&homes.home("new").join("received").to_string_lossy());
    person.types("~no/where");
    person.sees("a folder is a whole path");
    person.types("~/in");
    let folder = homes.path("in");
    person.sees(&format!("what arrives goes to {}", folder.display()));
    person.sees_menu();
    person.quits();
    assert!(folder.join(".colis-received").is_file());
    assert!(!homes.home("new").join("received").exists());
}

#[test]
fn an_arrival_is_said_with_its_path_and_new_name() {
    let homes = Homes::new(&["b"]);
    let received = homes.home("a").join("received");
    fs::create_dir(&received).unwrap();
    fs::write(received.join("f.txt"), "there before").unwrap();
    fs::write(homes.path("f.txt"), "new").unwrap();
    let mut person = Person::at_menu(&homes, "a");
    homes.ok("b", &["send", "f.txt", "--to", &address_of(&homes, "a")]);
    person.sees("* received 3 B from b: ~/a/received/f (2).txt");
    person.quits();
}

#[test]
fn the_folder_of_received_files_is_opened_where_there_is_a_desktop() {
    let homes = Homes::new(&[]);
    let mut command = homes.command("a", &[]);
    command.env("COLIS_LISTEN", format!("127.0.0.1:{}", free_port()));
    let mut person = at_terminal(&homes, command);
    person.sees_menu();
    person.presses("6");
    person.sees("4  Delete");
    person.presses("1");
    person.sees("no transfers");
    person.sees_menu();
    assert!(!person.shown().contains("open their folder"));
    person.quits();
    let mut person = with_desktop(&homes, "echo \"$1\" > \"$HOME/opened\"");
    person.sees_menu();
    // Two keys from the first list.
    person.presses("6");
    person.sees("4  Received files: open their folder");
    person.presses("4");
    let received = homes.home("a").join("received");
    person.sees(&format!("opened {}", received.display()));
    person.sees_menu();
    let told = || fs::read_to_string(homes.path("opened")).unwrap_or_default();
    wait_for("the desktop is asked", || {
        told().trim() == received.to_str().unwrap()
    });
    person.quits();
}
