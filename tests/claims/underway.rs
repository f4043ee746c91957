//! Transfers on their way: what the receiver sees of them and can do, what is left of a send that ended, and what a silent peer does.

mod arriving;
mod silence;
mod unfinished;

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use testkit::{Homes, Ran, wait_for};

/// A command that runs with `--json`, and the objects that it has printed so far.
struct Running {
    child: Option<Child>,
    said: Arc<Mutex<Vec<Value>>>,
}

impl Running {
    fn start(homes: &Homes, home: &str, args: &[&str]) -> Self {
        let mut command: Command = homes.command(home, &[&["--json"], args].concat());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let said = Arc::new(Mutex::new(Vec::new()));
        let shared = said.clone();
        thread::spawn(move || {
            let lines = out.lines().map_while(Result::ok);
            lines.for_each(|line| {
                shared
                    .lock()
                    .unwrap()
                    .push(serde_json::from_str(&line).unwrap())
            });
        });
        let child = Some(child);
        Self { child, said }
    }

    fn objects(&self, event: &str) -> Vec<Value> {
        let said = self.said.lock().unwrap();
        said.iter()
            .filter(|one| one["event"] == event)
            .cloned()
            .collect()
    }

    fn has_said(&self, event: &str) -> bool {
        !self.objects(event).is_empty()
    }

    /// Interrupts it as Ctrl-C does, and waits for the end.
    fn interrupt(mut self) -> Ran {
        let child = self.child.take().unwrap();
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        Ran::from(child.wait_with_output().unwrap())
    }

    /// Waits for the end. Returns the exit code.
    fn ends(&mut self) -> i32 {
        let mut child = self.child.take().unwrap();
        let code = child.wait().unwrap().code().unwrap_or(-1);
        // What it said last may still be read.
        wait_for("its last object", || Arc::strong_count(&self.said) == 1);
        code
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The objects that a command says.
fn objects(homes: &Homes, home: &str, args: &[&str]) -> Vec<Value> {
    let said = homes.ok(home, &[&["--json"], args].concat());
    let said = said.lines().map(|line| serde_json::from_str(line).unwrap());
    said.collect()
}

/// What `status` of a home says.
fn status(homes: &Homes, home: &str) -> Value {
    objects(homes, home, &["status"]).remove(0)
}
