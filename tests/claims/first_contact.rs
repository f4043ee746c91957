//! The stopwatch of the first contact: from two machines without a home, joined by a cable, to the first file, by commands and by
//! the menu. What is typed is typed on real terminals, and counted.

use std::{
    env, fs,
    path::Path,
    time::{Duration, Instant},
};

use testkit::{
    Homes, bytes,
    net::{LEFT, Net, RIGHT},
    person::Person,
    stretched, wait_for,
};

/// What one machine may take: commands of a person, and seconds of both.
const COMMANDS: usize = 2;
const SECONDS: u64 = 10;

/// A person at a shell of a machine that has nothing yet, and what they have typed.
struct Typist {
    person: Person,
    keys: usize,
    commands: usize,
}

impl Typist {
    /// At a shell whose home folder is `home`, on one side of the cable.
    fn sits_down(homes: &Homes, net: &Net, side: usize, home: &Path) -> Self {
        fs::create_dir_all(home).unwrap();
        let mut shell = net.inside(side, "env");
        let program = testkit::program().parent().unwrap();
        let path = format!("{}:{}", program.display(), env::var("PATH").unwrap());
        shell.args(["-i", "-C"]).arg(home);
        shell.arg(format!("HOME={}", home.display()));
        shell.arg(format!("PATH={path}"));
        shell.args(["TERM=xterm-256color", "NO_COLOR=1", "LC_ALL=C.UTF-8"]);
        shell.args(["PS1=ready> ", "bash", "--norc", "--noprofile"]);
        let mut person = Person::at_terminal(homes, shell, "xterm-256color");
        person.sees("ready> ");
        Self {
            person,
            keys: 0,
            commands: 0,
        }
    }

    fn presses(&mut self, keys: &str) {
        self.keys += keys.chars().count();
        self.person.presses(keys);
    }

    /// An answer, and Enter.
    fn answers(&mut self, text: &str) {
        self.presses(&format!("{text}\r"));
    }

    /// A line for the shell.
    fn commands(&mut self, line: &str) {
        self.commands += 1;
        self.answers(line);
    }

    fn sees(&mut self, text: &str) -> String {
        self.person.sees(text)
    }

    /// Leaves the shell, which a signal does not end.
    fn leaves(mut self) {
        self.person.types("exit");
        self.person.ends();
    }
}

/// What is counted of both sides.
fn counts(way: &str, took: Duration, sides: [&[&Typist]; 2]) {
    let count = |side: &[&Typist]| {
        let commands: usize = side.iter().map(|typist| typist.commands).sum();
        let keys: usize = side.iter().map(|typist| typist.keys).sum();
        (commands, keys)
    };
    let [(a, a_keys), (b, b_keys)] = sides.map(count);
    eprintln!("{way}: {a} + {b} commands, {a_keys} + {b_keys} keys, {took:.2?}");
    assert!(a <= COMMANDS && b <= COMMANDS, "{a} + {b} commands");
    assert!(took < stretched(Duration::from_secs(SECONDS)), "{took:?}");
}

fn has_arrived(home: &Path) {
    let file = home.join(".local/share/colis/received/first.bin");
    wait_for("the file", || {
        fs::read(&file).is_ok_and(|read| read == bytes(5, 3 << 20))
    });
}

#[test]
fn by_commands_two_a_side_are_enough() {
    let Some(net) = Net::new() else { return };
    let homes = Homes::new(&[]);
    let (a, b) = (homes.path("user-a"), homes.path("user-b"));
    let mut anna = Typist::sits_down(&homes, &net, LEFT, &a);
    let mut beside = Typist::sits_down(&homes, &net, LEFT, &a);
    let mut ben = Typist::sits_down(&homes, &net, RIGHT, &b);
    fs::write(a.join("first.bin"), bytes(5, 3 << 20)).unwrap();
    let began = Instant::now();
    anna.commands("colis pair");
    anna.sees("and then the code:");
    let code = anna.person.next_line();
    ben.commands("colis pair 10.77.0.1");
    ben.sees("Code: ");
    ben.answers(&code);
    // Both hosts have one name here, as fresh machines often do.
    ben.sees("is taken there: this machine is called ");
    let name = ben.person.next_line();
    ben.sees("Serve now? [Y/n]: ");
    ben.answers("");
    ben.sees("serves on [::]:8443");
    anna.sees("has joined from 10.77.0.2");
    anna.sees("Serve now? [Y/n]: ");
    anna.answers("");
    anna.sees(&format!(
        "next, in another terminal: colis send FILE --to {name}"
    ));
    anna.sees("serves on [::]:8443");
    beside.commands(&format!("colis send first.bin --to {name}"));
    beside.sees("stored durably");
    has_arrived(&b);
    counts("by commands", began.elapsed(), [&[&anna, &beside], &[&ben]]);
    for mut typist in [anna, ben] {
        typist.person.presses(testkit::person::CTRL_C);
        typist.sees("stopped; everything acknowledged is on disk");
        typist.leaves();
    }
    beside.leaves();
}

#[test]
fn by_the_menu_one_a_side_is_enough() {
    let Some(net) = Net::new() else { return };
    let homes = Homes::new(&[]);
    let (a, b) = (homes.path("user-a"), homes.path("user-b"));
    let mut anna = Typist::sits_down(&homes, &net, LEFT, &a);
    let mut ben = Typist::sits_down(&homes, &net, RIGHT, &b);
    fs::write(a.join("first.bin"), bytes(5, 3 << 20)).unwrap();
    let began = Instant::now();
    anna.commands("colis");
    anna.sees("1  Make a circle");
    anna.sees("Look again");
    anna.presses("1");
    anna.sees("Name of this machine");
    anna.answers("");
    anna.sees("Folder for received files");
    anna.answers("");
    anna.person.sees_menu();
    anna.presses("1");
    anna.sees("and then the code:");
    let code = anna.person.next_line();
    ben.commands("colis");
    // It is seen in the network, and proposed first.
    ben.sees("1  Join the circle of ");
    ben.sees("which shows a code at 10.77.0.1:8444");
    ben.sees("Look again");
    assert!(
        !b.join(".local").exists(),
        "nothing is made before the last answer"
    );
    ben.presses("1");
    ben.sees("Name of this machine");
    ben.answers("");
    ben.sees("Code: ");
    ben.answers(&code);
    ben.sees("joined the circle of ");
    ben.sees("Folder for received files");
    ben.answers("");
    ben.person.sees_menu();
    anna.sees("has joined from 10.77.0.2");
    anna.person.sees_menu();
    anna.presses("2");
    anna.sees("3  Share");
    anna.presses("1");
    anna.sees("Files or folders");
    anna.answers("first.bin");
    anna.sees("To whom?");
    anna.sees("10.77.0.2:8443");
    anna.answers("");
    anna.sees("Send first.bin");
    anna.presses("1");
    anna.sees("stored durably");
    has_arrived(&b);
    ben.sees("* received 3 MiB from ");
    counts("by the menu", began.elapsed(), [&[&anna], &[&ben]]);
    for mut typist in [anna, ben] {
        typist.person.presses("0");
        typist.sees("stopped; everything acknowledged is on disk");
        typist.leaves();
    }
}
