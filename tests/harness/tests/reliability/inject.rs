//! One system call that goes wrong: strace lets it fail, or ends the program as it enters it.

use std::{
    fmt, fs,
    iter::StepBy,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

use testkit::{around, wait_for};

/// A call of a program: its name, and the number of it that one of its threads makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) name: &'static str,
    pub(crate) number: usize,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.name, self.number)
    }
}

/// What happens at a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    Killed,
    /// It is not made, and fails with this error.
    Fails(&'static str),
    /// It waits for two seconds first.
    Waits,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Killed => f.write_str("signal=KILL"),
            Self::Fails(error) => write!(f, "error={error}"),
            Self::Waits => f.write_str("delay_enter=2000000"),
        }
    }
}

/// Which calls of each name.
pub(crate) type Numbers = StepBy<RangeInclusive<usize>>;

/// Runs `round` with these calls of each of these names, until it says that one was not made. Gives in how many something went
/// wrong.
pub(crate) fn each(
    names: &[&'static str],
    numbers: &Numbers,
    mut round: impl FnMut(Call) -> bool,
) -> usize {
    let mut of_name = |name| {
        let calls = numbers.clone().map(|number| Call { name, number });
        calls.take_while(|call| round(*call)).count()
    };
    names.iter().map(|name| of_name(name)).sum()
}

/// `command`, in which `call` goes `wrong`; what happened is in `log`.
pub(crate) fn wrong_at(call: Call, wrong: Wrong, command: &Command, log: &Path) -> Command {
    let mut strace = strace(call, wrong, log);
    // The process that is started is the program itself: strace stands beside it.
    strace.arg("-D");
    around(strace, command)
}

/// Whether it happened, by the `log`.
pub(crate) fn has_happened(log: &Path) -> bool {
    fs::read_to_string(log).is_ok_and(|log| log.contains("(INJECTED)"))
}

fn strace(Call { name, number }: Call, wrong: Wrong, log: &Path) -> Command {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o"]).arg(log);
    strace.args(["-e", &format!("trace={name}"), "-e"]);
    strace.arg(format!("inject={name}:{wrong}:when={number}"));
    strace
}

/// A process that runs already, and in each of whose threads a call goes wrong.
pub(crate) struct Injection {
    strace: Child,
    log: PathBuf,
}

impl Injection {
    pub(crate) fn into(process: u32, call: Call, wrong: Wrong, log: PathBuf) -> Self {
        let mut command = strace(call, wrong, &log);
        command.args(["-p", &process.to_string()]);
        let strace = command.stdout(Stdio::null()).spawn().unwrap();
        wait_for("strace beside every thread", || all_are_traced(process));
        Self { strace, log }
    }

    /// Lets the process go. Gives whether a call went wrong.
    pub(crate) fn end(mut self) -> bool {
        let strace = Pid::from_child(&self.strace);
        let _ = kill_process(strace, Signal::TERM);
        let _ = self.strace.wait();
        has_happened(&self.log)
    }
}

fn all_are_traced(process: u32) -> bool {
    let threads = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let status = |thread: fs::DirEntry| fs::read_to_string(thread.path().join("status"));
    threads
        .filter_map(|thread| status(thread.unwrap()).ok())
        .all(|status| !status.contains("TracerPid:\t0\n"))
}
