//! What a person who has seen the demonstration may type next.

use std::env;

use crate::{cli::output::Output, name::shell_word};

pub(super) fn say(output: Output) {
    output.line("\nEverything came through. Where to go next:");
    let program = program();
    for (command, what) in [
        ("pair", "makes your circle, and shows a code"),
        (
            "pair HOST",
            "on the other machine: asks for it; then both serve",
        ),
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
    shell_word(typed)
}
