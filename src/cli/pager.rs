//! What is longer than the terminal, a page at a time.

use std::{
    env,
    io::{self, Write as _},
    process::{Command, Stdio},
};

use console::{Term, measure_text_width};
use tokio::signal::unix::SignalKind;

use super::{output::Output, show::table::Shown, signals::Heard, terminal};

/// What a shell says of a program that is not there.
const NOT_FOUND: i32 = 127;

/// Shows `lines` by the person's pager if they are more than the terminal has. Where there is no pager, shows as many as
/// fit and says how many are left out. Gives false, with nothing shown, if they fit or are for no terminal.
pub(super) fn show(output: Output, lines: &[Shown]) -> bool {
    let term = Term::stdout();
    // A menu turns the pages itself.
    let pages = output.pages && !output.json && !terminal::is_held();
    let is_for_a_page = pages && term.is_term() && terminal::knows_escapes();
    let Some((rows, columns)) = is_for_a_page.then(|| term.size_checked()).flatten() else {
        return false;
    };
    let lines = lines
        .iter()
        .filter(|(_, is_talk)| !(*is_talk && output.quiet));
    let lines: Vec<_> = lines.map(|(line, _)| line.as_str()).collect();
    // The last row is for the prompt that comes afterwards.
    let room = usize::from(rows).saturating_sub(1);
    let height = |line: &&str| {
        let rows = line.lines().map(|line| {
            measure_text_width(line)
                .div_ceil(usize::from(columns).max(1))
                .max(1)
        });
        rows.sum::<usize>()
    };
    if lines.iter().map(height).sum::<usize>() <= room {
        return false;
    }
    if !by_pager(&lines) {
        say_some(output, &lines, room);
    }
    true
}

/// Gives false if there is no pager.
fn by_pager(lines: &[&str]) -> bool {
    // Ctrl-C is for the pager: it must not find its terminal taken by the shell.
    let Ok(_heard) = Heard::new(SignalKind::interrupt()) else {
        return false;
    };
    let mut command = match env::var("PAGER") {
        Ok(pager) if !pager.trim().is_empty() => {
            let mut shell = Command::new("sh");
            shell.arg("-c").arg(pager);
            shell
        }
        _ => {
            let mut less = Command::new("less");
            less.arg("-FRX");
            less
        }
    };
    let Ok(mut pager) = command.stdin(Stdio::piped()).spawn() else {
        return false;
    };
    if let Some(mut input) = pager.stdin.take() {
        // A pager that is left before the end reads no more.
        let _ = write(&mut input, lines);
    }
    let ended = pager.wait();
    ended.is_ok_and(|status| status.code() != Some(NOT_FOUND))
}

fn write(to: &mut impl io::Write, lines: &[&str]) -> io::Result<()> {
    let mut to = io::BufWriter::new(to);
    for line in lines {
        writeln!(to, "{line}")?;
    }
    to.flush()
}

/// The first of `lines` that fit into `room` rows, and how many come after them.
fn say_some(output: Output, lines: &[&str], room: usize) {
    let some = room.saturating_sub(1).max(1);
    for line in lines.iter().take(some) {
        output.line_now(line);
    }
    let more = lines.len().saturating_sub(some);
    output.talk_now(&format!("… {more} more: --no-pager shows them all"));
}
