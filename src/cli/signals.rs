//! The signals that end a command.
//!
//! A signal that was ignored when the program began stays ignored: `nohup` and `trap '' INT` ask for that. A handler of
//! ours would take it back, so this is looked up before any is there.

use std::{fs, future::pending, io, sync::OnceLock};

use tokio::signal::unix::{Signal, SignalKind, signal};

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

/// Ready on Ctrl-C.
pub(super) async fn interrupted() {
    match Heard::new(SignalKind::interrupt()) {
        Ok(mut interrupt) => interrupt.comes().await,
        Err(error) => {
            tracing::warn!(%error, "Ctrl-C ends this command at once");
            pending().await
        }
    }
}

/// Ready when the person or the system asks to stop.
pub(super) fn stop() -> io::Result<impl Future<Output = ()> + Send> {
    let mut interrupt = Heard::new(SignalKind::interrupt())?;
    let mut terminate = Heard::new(SignalKind::terminate())?;
    let mut hangup = Heard::new(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            () = interrupt.comes() => {}
            () = terminate.comes() => {}
            () = hangup.comes() => {}
        }
    })
}
