//! A person at a terminal: reads what is shown, presses keys.

use std::{
    fs,
    net::TcpListener,
    num::NonZero,
    process::{Command, Stdio},
};

use rexpect::{
    process::{Signal, WaitStatus},
    session::{PtySession, spawn_command},
};

use crate::Homes;

/// For one thing to appear, also on a machine that is busy.
const PATIENCE_MS: u64 = 60_000;

pub const CTRL_C: &str = "\u{3}";
pub const CTRL_D: &str = "\u{4}";
pub const ESC: &str = "\u{1b}";
pub const DOWN: &str = "\u{1b}[B";
pub const CTRL_U: &str = "\u{15}";
/// What ends each drawing of a list.
pub const DRAWN: &str = "\x1b[?25l";
/// The key of the arrow to the left.
pub const LEFT: &str = "\x1b[D";

/// `colis` on a terminal, and all that it has shown.
pub struct Person {
    session: PtySession,
    shown: String,
    /// The size of the terminal from a place in what was shown on.
    sizes: Vec<(usize, (u16, u16))>,
}

impl Person {
    /// Starts the menu of a home.
    pub fn start(homes: &Homes, home: &str) -> Self {
        Self::start_as(homes, home, "xterm-256color")
    }

    pub fn start_as(homes: &Homes, home: &str, term: &str) -> Self {
        Self::at_terminal(homes, homes.command(home, &[]), term)
    }

    /// Runs a command on a terminal.
    pub fn at_terminal(homes: &Homes, mut command: Command, term: &str) -> Self {
        command.env("TERM", term).env("LC_ALL", "C.UTF-8");
        command.env("HOME", homes.path(""));
        // The terminal is the program's input too: `command` gave it none.
        command.stdin(Stdio::inherit());
        Self {
            session: spawn_command(command, Some(PATIENCE_MS)).unwrap(),
            shown: String::new(),
            sizes: Vec::new(),
        }
    }

    /// Runs a command on a terminal of 20 columns and few lines of which nothing is known: no locale, the name `term` or
    /// none. Colours are asked for, which such a terminal has not.
    pub fn at_plain_terminal(homes: &Homes, command: &Command, term: Option<&str>) -> Self {
        Self::at_small_terminal(homes, command, term, 6)
    }

    /// The same on a terminal of so many lines. Its name is in the file `tty`.
    pub fn at_small_terminal(
        homes: &Homes,
        command: &Command,
        term: Option<&str>,
        rows: u16,
    ) -> Self {
        let mut shell = Command::new("sh");
        let script = format!("tty >tty; stty cols 20 rows {rows}; exec \"$0\" \"$@\"");
        shell.args(["-c", &script]).arg(command.get_program());
        shell.args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        shell.current_dir(homes.path(""));
        shell.env_remove("NO_COLOR").env("CLICOLOR_FORCE", "1");
        shell.env("LC_ALL", "C").env("HOME", homes.path(""));
        match term {
            Some(term) => shell.env("TERM", term),
            None => shell.env_remove("TERM"),
        };
        Self {
            session: spawn_command(shell, Some(PATIENCE_MS)).unwrap(),
            shown: String::new(),
            sizes: Vec::new(),
        }
    }

    /// Starts the menu of a home that has certificates, on a port of its own, and waits for the list.
    pub fn at_menu(homes: &Homes, home: &str) -> Self {
        listen_on_a_free_port(homes, home);
        let mut person = Self::start(homes, home);
        person.sees("serves on 127.0.0.1:");
        person.sees_menu();
        person
    }

    /// Starts the menu of a home that has certificates on a terminal of so many rows and columns.
    pub fn at_sized_menu(homes: &Homes, home: &str, rows: u16, columns: u16) -> Self {
        listen_on_a_free_port(homes, home);
        let mut shell = Command::new("sh");
        let script = format!("tty >tty; stty rows {rows} cols {columns}; exec \"$0\" \"$@\"");
        let colis = homes.command(home, &[]);
        shell.args(["-c", &script]).arg(colis.get_program());
        shell.args(colis.get_args());
        for (name, value) in colis.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        shell.current_dir(homes.path(""));
        let mut person = Self::at_terminal(homes, shell, "xterm-256color");
        person.sizes.push((0, (rows, columns)));
        person.sees("serves on");
        person.sees("What next?");
        person.sees(DRAWN);
        person
    }

    /// Gives the terminal another size.
    pub fn resizes(&mut self, homes: &Homes, rows: u16, columns: u16) {
        let mut stty = Command::new("stty");
        let tty = fs::read_to_string(homes.path("tty")).unwrap();
        stty.args([
            "-F",
            tty.trim(),
            "rows",
            &rows.to_string(),
            "cols",
            &columns.to_string(),
        ]);
        assert!(stty.status().unwrap().success());
        self.sizes.push((self.shown.len(), (rows, columns)));
    }

    /// The rows of the screen, by what was waited for so far.
    pub fn screen(&self) -> Vec<String> {
        let (rows, columns) = self.sizes.first().map_or((24, 80), |(_, size)| *size);
        let mut parser = vt100::Parser::new(at_least_one(rows), at_least_one(columns), 0);
        let mut done = 0;
        for (place, (rows, columns)) in &self.sizes {
            parser.process(&self.shown.as_bytes()[done..*place]);
            done = *place;
            parser
                .screen_mut()
                .set_size(at_least_one(*rows), at_least_one(*columns));
        }
        parser.process(&self.shown.as_bytes()[done..]);
        let text = parser.screen().contents();
        text.lines()
            .map(|line| line.trim_end().to_owned())
            .collect()
    }

    /// Waits until `text` is shown; gives what came before it.
    pub fn sees(&mut self, text: &str) -> String {
        match self.session.exp_string(text) {
            Ok(before) => {
                self.shown.push_str(&before);
                self.shown.push_str(text);
                before
            }
            Err(error) => panic!("{text:?} is not shown: {error}\nbefore: {}", self.shown),
        }
    }

    /// Waits until something like `pattern` is shown.
    pub fn sees_like(&mut self, pattern: &str) {
        match self.session.exp_regex(pattern) {
            Ok((before, found)) => self.shown.push_str(&format!("{before}{found}")),
            Err(error) => panic!("{pattern:?} is not shown: {error}\nbefore: {}", self.shown),
        }
    }

    /// The next line that is not empty.
    pub fn next_line(&mut self) -> String {
        loop {
            let line = self.sees("\r\n").trim().to_owned();
            if !line.is_empty() {
                return line;
            }
        }
    }

    /// At the end of a first run: received files appear where they would.
    pub fn takes_the_usual_folder(&mut self) {
        self.sees("Folder for received files");
        self.types("");
    }

    /// All that was waited for so far, and at the end everything.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// Waits for the list of entries, whole.
    pub fn sees_menu(&mut self) -> String {
        let before = self.sees("What next?\r\n");
        self.sees("0  Quit");
        before
    }

    pub fn presses(&mut self, keys: &str) {
        self.session.send(keys).unwrap();
        self.session.flush().unwrap();
    }

    /// Types a line.
    pub fn types(&mut self, text: &str) {
        self.presses(&format!("{text}\r"));
    }

    /// Leaves by the menu.
    pub fn quits(mut self) {
        self.presses("0");
        assert_eq!(self.ends(), 0);
    }

    pub fn signal(&mut self, signal: Signal) {
        self.session.process_mut().signal(signal).unwrap();
    }

    /// Waits for the end; gives the exit code. The cursor must be there again.
    pub fn ends(&mut self) -> i32 {
        let rest = self.session.exp_eof().unwrap_or_else(|error| {
            panic!("it does not end: {error}\nbefore: {}", self.shown);
        });
        self.shown.push_str(&rest);
        self.has_cursor();
        match self.session.process().wait().unwrap() {
            WaitStatus::Exited(_, code) => code,
            other => panic!("{other:?}\n{}", self.shown),
        }
    }

    /// Waits for the end of a process whose terminal takes nothing.
    pub fn ends_held(mut self) {
        let ended = self.session.process_mut().wait().unwrap();
        assert!(matches!(ended, WaitStatus::Exited(..)), "{ended:?}");
    }

    fn has_cursor(&self) {
        let (hidden, there) = (
            self.shown.rfind("\u{1b}[?25l"),
            self.shown.rfind("\u{1b}[?25h"),
        );
        assert!(hidden <= there, "no cursor: {}", self.shown);
    }
}

fn at_least_one(count: u16) -> NonZero<u16> {
    NonZero::new(count).unwrap()
}

/// A port that nobody listens on now.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

pub fn listen_on_a_free_port(homes: &Homes, home: &str) {
    set(homes, home, "listen", "127.0.0.1:0");
}

pub fn set(homes: &Homes, home: &str, key: &str, value: &str) {
    homes.ok(home, &["config", "set", key, value]);
}

/// Where a peer of this machine serves, by what it says of itself.
pub fn address_of(homes: &Homes, home: &str) -> String {
    let status = homes.ok(home, &["--json", "status"]);
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    status["serving"].as_str().unwrap().to_owned()
}
