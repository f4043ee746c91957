//! Lines that a person types, corrected by the means of the terminal itself: no escape sequence is written for them.

use std::io;

use rustix::{
    io::{read, retry_on_intr},
    termios::tcgetattr,
};
use tokio::time::sleep;
use zeroize::Zeroizing;

use super::{CTRL_C, Left, Line, Shows, Take, Taken, is_held, keys, say, shows, write};
use crate::cli::{
    report::{ExitCode, Failure},
    signals::{self, A_MOMENT},
};

/// Bytes of a line that are taken.
const MAX: usize = 4096;

/// Asks for a line, without its end and without control characters.
///
/// # Errors
/// [`io::ErrorKind::UnexpectedEof`] at the end of the input (Ctrl-D), [`io::ErrorKind::Interrupted`] by Ctrl-C; if the
/// terminal is gone.
pub(in crate::cli) fn read_line(prompt: &str) -> io::Result<Zeroizing<String>> {
    ask(prompt, Take::Lines)
}

/// Asks for a line that is not shown, as [`read_line`].
pub(in crate::cli) fn read_secret(prompt: &str) -> io::Result<Zeroizing<String>> {
    ask(prompt, Take::HiddenLines)
}

/// Asks until the answer is right, and says what is wrong.
///
/// # Errors
/// As [`read_line`].
pub(in crate::cli) fn until_right<T>(
    prompt: &str,
    check: impl Fn(&str) -> Result<T, String>,
) -> io::Result<T> {
    loop {
        match check(&read_line(prompt)?) {
            Ok(answer) => return Ok(answer),
            Err(wrong) => say(&wrong),
        }
    }
}

/// Yes or no; an empty line is `default`.
///
/// # Errors
/// As [`read_line`].
pub(in crate::cli) fn ask_yes(prompt: &str, default: bool) -> io::Result<bool> {
    let keys = if default { "[Y/n]" } else { "[y/N]" };
    until_right(&format!("{prompt} {keys}"), |typed| {
        match typed.trim().to_ascii_lowercase().as_str() {
            "" => Ok(default),
            "y" | "yes" => Ok(true),
            "n" | "no" => Ok(false),
            _ => Err("y or n".to_owned()),
        }
    })
}

/// Yes or no; an empty line is a no.
///
/// # Errors
/// As [`read_line`].
pub(in crate::cli) fn ask_no(prompt: &str) -> io::Result<bool> {
    until_right(&format!("{prompt} [y/N]"), |typed| {
        match typed.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => Ok(true),
            "" | "n" | "no" => Ok(false),
            _ => Err("y or n".to_owned()),
        }
    })
}

/// Asks by keys, on a screen that a menu has: so this is left as its other questions are.
fn ask_by_keys(prompt: &str, take: Take) -> io::Result<Option<Zeroizing<String>>> {
    let line = Line::new(prompt, &|_| Ok(()));
    let mut line = match take {
        Take::HiddenLines => line.hidden(),
        Take::Keys | Take::Lines => line.or_nothing(),
    };
    match keys::ask(&mut line)? {
        Ok(typed) => {
            if take == Take::Lines {
                say(&format!("{prompt}: {}", *typed));
            }
            Ok(Some(typed))
        }
        Err(Left::Interrupted) => Err(io::ErrorKind::Interrupted.into()),
        Err(Left::TooSmall) => Ok(None),
        Err(_) => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

fn ask(prompt: &str, take: Take) -> io::Result<Zeroizing<String>> {
    if is_held()
        && shows() == Shows::Screen
        && let Some(answer) = ask_by_keys(prompt, take)?
    {
        return Ok(answer);
    }
    let _taken = Taken::new(take)?;
    write(&format!("{prompt}: "));
    let typed = typed();
    // Only the end of a line that is shown has moved the cursor to the next one.
    if take == Take::HiddenLines || typed.is_err() {
        write("\n");
    }
    let bytes = typed?;
    // In a secret no byte may be replaced by another.
    let lossy = if take == Take::Lines { "\u{fffd}" } else { "" };
    let mut line = Zeroizing::new(String::with_capacity(3 * bytes.len()));
    for part in bytes.utf8_chunks() {
        line.extend(part.valid().chars().filter(|c| !c.is_control()));
        match part.invalid() {
            [] => {}
            _ if lossy.is_empty() => return Err(io::Error::other("it is not UTF-8")),
            _ => line.push_str(lossy),
        }
    }
    Ok(line)
}

/// The bytes of a line. The terminal gives a line at once; what is longer is dropped.
fn typed() -> io::Result<Zeroizing<Vec<u8>>> {
    let mut line = Zeroizing::new(Vec::with_capacity(MAX));
    let mut buffer = Zeroizing::new([0; MAX]);
    loop {
        let count = retry_on_intr(|| read(io::stdin(), &mut buffer[..]))?;
        let part = &buffer[..count];
        let room = MAX - line.len();
        line.extend_from_slice(&part[..count.min(room)]);
        match part.last() {
            Some(b'\n') => return Ok(line),
            Some(&CTRL_C) => return Err(io::ErrorKind::Interrupted.into()),
            None => return Err(io::ErrorKind::UnexpectedEof.into()),
            // Ctrl-D after some characters, or what was typed before the line was asked for.
            Some(_) => {}
        }
    }
}

/// Asks on the terminal for `what`. A key may be long in coming, and a signal ends the question meanwhile.
pub(in crate::cli) async fn asked<T: Send + 'static>(
    what: &str,
    interrupted: &str,
    ask: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Failure> {
    let asking = async {
        let asked = tokio::task::spawn_blocking(ask).await;
        let asked = asked.map_err(|e| Failure::new(ExitCode::Storage, e))?;
        if asked.is_err() && tcgetattr(io::stdin()).is_err() {
            // The terminal is gone: the hangup that tells so says more than the read that failed.
            sleep(A_MOMENT).await;
        }
        asked.map_err(|error| match error.kind() {
            io::ErrorKind::Interrupted => Failure::new(ExitCode::Interrupted, interrupted),
            io::ErrorKind::UnexpectedEof => Failure::left(format!("no {what} was given")),
            _ => Failure::usage(format!("no {what}: {error}")),
        })
    };
    signals::interruptible(asking, interrupted, None).await
}
