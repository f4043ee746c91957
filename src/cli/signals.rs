//! The signals that end a command.
//!
//! A signal that was ignored when the program began stays ignored: `nohup` and `trap '' INT` ask for that. A handler of
//! ours would take it back, so this is looked up before any is there.
//!
//! A peer reads its settings again on a hangup, as services do, unless the terminal that it was started on is gone.

use std::{fs, future::pending, io, process, sync::OnceLock, thread, time::Duration};

use rustix::process::Signal as Sys;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::sleep,
};

use super::{
    report::{ExitCode, Failure},
    terminal,
};

/// After which it is seen whether a hangup took the terminal.
pub(super) const A_MOMENT: Duration = Duration::from_millis(200);

/// A bit for each signal that was ignored when the program began.
static IGNORED: OnceLock<u64> = OnceLock::new();

/// Notes what is ignored, before the first handler.
pub(super) fn note_ignored() {
    IGNORED.get_or_init(ignored_now);
}

/// None where the system does not tell.
fn ignored_now() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or_default()
}

fn is_ignored(kind: SignalKind) -> bool {
    let ignored = IGNORED.get().copied().unwrap_or_default();
    let bit = u32::try_from(kind.as_raw_value() - 1).ok();
    bit.and_then(|bit| 1_u64.checked_shl(bit))
        .is_some_and(|bit| ignored & bit != 0)
}

/// Hears one signal, unless it is ignored.
pub(super) struct Heard(Option<Signal>);

impl Heard {
    /// From now on the signal does not end the process by itself.
    pub(super) fn new(kind: SignalKind) -> io::Result<Self> {
        let heard = (!is_ignored(kind)).then(|| signal(kind)).transpose()?;
        Ok(Self(heard))
    }

    /// Ready when the signal comes; never if it is ignored.
    pub(super) async fn comes(&mut self) {
        match &mut self.0 {
            Some(signal) => {
                signal.recv().await;
            }
            None => pending().await,
        }
    }
}

/// What asked a command to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// Ctrl-C.
    Interrupt,
    /// The system, or whoever manages it.
    Terminate,
    /// The terminal is gone.
    HangUp,
}

impl Asked {
    /// For the log.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Interrupt => "SIGINT",
            Self::Terminate => "SIGTERM",
            Self::HangUp => "its terminal is gone",
        }
    }

    /// The exit code of a command that it ended.
    pub(super) fn code(self) -> ExitCode {
        match self {
            Self::Interrupt => ExitCode::Interrupted,
            Self::Terminate => ExitCode::Terminated,
            Self::HangUp => ExitCode::HungUp,
        }
    }
}

/// Does `work` until a signal comes. Then it is dropped, and `what` is said.
pub(super) async fn interruptible<T, E: Into<Failure>>(
    work: impl Future<Output = Result<T, E>>,
    what: &str,
    hint: Option<&str>,
) -> Result<T, Failure> {
    let ending = Ending::new().map_err(|e| unheard(&e))?;
    let asked = tokio::select! {
        done = work => return done.map_err(Into::into),
        asked = ending.comes() => asked,
    };
    terminal::leave_question();
    let failure = Failure::new(asked.code(), what);
    Err(match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    })
}

/// The system lets no signals be heard.
pub(super) fn unheard(error: &io::Error) -> Failure {
    Failure::new(ExitCode::Storage, format!("signals: {error}"))
}

/// The signals that end a command, heard from when this is made.
pub(super) struct Ending {
    interrupt: Heard,
    terminate: Heard,
    hangup: Heard,
}

impl Ending {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: Heard::new(SignalKind::interrupt())?,
            ..Self::by_the_system()?
        })
    }

    /// Without Ctrl-C, which means something else.
    pub(super) fn by_the_system() -> io::Result<Self> {
        Ok(Self {
            interrupt: Heard(None),
            terminate: Heard::new(SignalKind::terminate())?,
            hangup: Heard::new(SignalKind::hangup())?,
        })
    }

    /// Ready when one comes.
    pub(super) async fn comes(mut self) -> Asked {
        tokio::select! {
            () = self.interrupt.comes() => Asked::Interrupt,
            () = self.terminate.comes() => Asked::Terminate,
            () = self.hangup.comes() => Asked::HangUp,
        }
    }

    /// Ready when a peer is asked to end. A hangup ends it if the terminal that it was started on is gone; else it asks for
    /// the settings to be read again, and `reload` does that.
    pub(super) async fn comes_to_a_peer(mut self, reload: impl Fn() + Send) -> Asked {
        let began_on_a_terminal = has_terminal();
        loop {
            tokio::select! {
                () = self.interrupt.comes() => return Asked::Interrupt,
                () = self.terminate.comes() => return Asked::Terminate,
                () = self.hangup.comes() => {
                    // The kernel may tell before it takes the terminal away.
                    sleep(A_MOMENT).await;
                    if began_on_a_terminal && !has_terminal() {
                        return Asked::HangUp;
                    }
                    reload();
                }
            }
        }
    }
}

/// Whether this process has a terminal that could go away.
fn has_terminal() -> bool {
    fs::File::open("/dev/tty").is_ok()
}

/// SIGUSR1 and SIGUSR2 mean nothing, and end nothing. SIGXFSZ says once more what a write that failed says: the file
/// would be larger than this process may write.
pub(super) fn outlive_what_tells_nothing() {
    let too_large = SignalKind::from_raw(Sys::XFSZ.as_raw());
    for kind in [
        SignalKind::user_defined1(),
        SignalKind::user_defined2(),
        too_large,
    ] {
        if let Err(error) = Heard::new(kind) {
            tracing::warn!(%error, ?kind, "this signal ends the process");
        }
    }
}

/// Ends the process when `ending` came and it is still there after `patience`: it may wait for a reader that does not read.
/// A thread of its own hears it, for every other may be the one that waits.
pub(super) fn insist(
    ending: impl FnOnce() -> io::Result<Ending> + Send + 'static,
    patience: Duration,
) {
    let insisting = move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let asked = runtime.block_on(async { io::Result::Ok(ending()?.comes().await) })?;
        thread::sleep(patience);
        process::exit(asked.code() as i32)
    };
    // Without it the process ends all the same, unless it waits.
    let _ = thread::Builder::new().spawn(move || {
        let done: io::Result<()> = insisting();
        done
    });
}
