//! Real peers for tests: homes made by the program itself, and `colis serve` processes on ports of their own.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    sync::{Arc, Mutex},
    thread,
};

use serde_json::Value;
use tempfile::TempDir;

use crate::program;

/// A circle in a temporary folder: `a` holds its key.
pub struct Homes {
    root: TempDir,
}

impl Homes {
    /// A circle with `a` and these other members.
    pub fn new(others: &[&str]) -> Self {
        let homes = Self::bare();
        homes.ok("a", &["certs", "init", "--name", "a"]);
        for name in others {
            let certs = homes.home(name).join("certs");
            homes.ok(
                "a",
                &["certs", "issue", name, "--out", certs.to_str().unwrap()],
            );
        }
        homes
    }

    /// A temporary folder without any home.
    pub fn bare() -> Self {
        Self {
            root: tempfile::tempdir().unwrap(),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub fn home(&self, name: &str) -> PathBuf {
        self.path(name)
    }

    /// `colis --home HOME ...`, in the temporary folder.
    pub fn command(&self, home: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.arg("--home").arg(self.home(home)).args(args);
        command.current_dir(self.root.path()).stdin(Stdio::null());
        command
            .env_remove("COLIS_HOME")
            .env_remove("COLIS_LOG")
            .env("NO_COLOR", "1")
            // Tests say nothing to the network that they run in.
            .env("COLIS_DISCOVERY", "false");
        command
    }

    pub fn run(&self, home: &str, args: &[&str]) -> Ran {
        Ran::from(self.command(home, args).output().unwrap())
    }

    /// Runs what must succeed. Gives standard output.
    pub fn ok(&self, home: &str, args: &[&str]) -> String {
        let ran = self.run(home, args);
        assert_eq!(ran.code, 0, "{args:?}: {}", ran.err);
        ran.out
    }

    /// Runs what must fail with `code`. Gives standard error.
    pub fn fails(&self, home: &str, args: &[&str], code: i32) -> String {
        let ran = self.run(home, args);
        assert_eq!(ran.code, code, "{args:?}: {} {}", ran.out, ran.err);
        ran.err
    }

    /// Starts `colis serve` on a free port.
    pub fn serve(&self, home: &str, args: &[&str]) -> Serving {
        self.serve_on(home, "127.0.0.1:0", args)
    }

    pub fn serve_on(&self, home: &str, listen: &str, args: &[&str]) -> Serving {
        let mut command = self.command(home, &["--json", "serve", "--listen", listen]);
        command.args(args);
        self.serve_by(home, command)
    }

    /// Starts a `command` that serves `home` and says so as a JSON object.
    pub fn serve_by(&self, home: &str, mut command: Command) -> Serving {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(fs::File::create(self.path(&format!("{home}.log"))).unwrap())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        out.read_line(&mut line).unwrap();
        let said: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{line:?}: {e}"));
        let address = said["address"]
            .as_str()
            .unwrap_or_else(|| panic!("{line}"))
            .parse()
            .unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let shared = lines.clone();
        thread::spawn(move || {
            out.lines()
                .map_while(Result::ok)
                .for_each(|line| shared.lock().unwrap().push(line));
        });
        Serving {
            child,
            address,
            lines,
        }
    }

    /// What the last peer that served `home` has logged so far.
    pub fn log(&self, home: &str) -> String {
        let log = fs::read(self.path(&format!("{home}.log"))).unwrap();
        String::from_utf8_lossy(&log).into_owned()
    }
}

/// What a command said.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Ran {
    /// The first object of the event `event` that it printed.
    pub fn object(&self, event: &str) -> Value {
        let mut objects = self
            .out
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        let found = objects.find(|object| object["event"] == event);
        found.unwrap_or_else(|| panic!("no {event}: {self:?}"))
    }
}

/// A serving peer, killed when it is dropped.
pub struct Serving {
    child: Child,
    pub address: SocketAddr,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Serving {
    pub fn to(&self) -> String {
        self.address.to_string()
    }

    /// The objects that it printed since it serves.
    pub fn said(&self) -> Vec<Value> {
        let lines = self.lines.lock().unwrap();
        let objects = lines.iter().map(|line| serde_json::from_str(line).unwrap());
        objects.collect()
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// `kill -9`, and waits for the end.
    /// Waits until it has ended. Returns its exit code.
    pub fn end(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }

    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The arguments of a send in small chunks that waits until they are opened.
pub fn sending<'a>(name: &'a str, to: &'a str) -> [&'a str; 7] {
    ["send", name, "--to", to, "--chunk-size", "64KiB", "--wait"]
}

/// `outer`, whose last arguments are the program and the arguments of `inner`: in the same folder and environment.
pub fn around(mut outer: Command, inner: &Command) -> Command {
    outer.arg(inner.get_program()).args(inner.get_args());
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => outer.env(name, value),
            None => outer.env_remove(name),
        };
    }
    if let Some(folder) = inner.get_current_dir() {
        outer.current_dir(folder);
    }
    outer.stdin(Stdio::null());
    outer
}
