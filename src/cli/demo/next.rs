//! What a person who has seen the demonstration may type next.

use std::env;

use crate::cli::output::Output;

pub(super) fn say(output: Output) {
    output.line("\nEverything came through. Where to go next:");
    let program = program();
    for (command, what) in [
        ("certs init --name NAME", "make your circle"),
        ("pair", "shows a code"),
        ("pair HOST", "on the other machine: asks for it"),
        ("serve", "on the other machine"),
        (
            "send FILE --to NAME",
            "to the other machine; the README has the rest",
        ),
    ] {
        output.line(format!("  {program} {command:<24} {what}"));
    }
}

/// This program, as it was typed: after `cargo run` there is no `colis` to type.
fn program() -> String {
    let typed = env::args_os().next().unwrap_or_default();
    let typed = typed.to_string_lossy().into_owned();
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+".contains(c);
    match typed.chars().all(is_plain) && !typed.is_empty() {
        true => typed,
        false => format!("'{}'", typed.replace('\'', "'\\''")),
    }
}
