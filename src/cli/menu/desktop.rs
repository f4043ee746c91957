//! What the desktop of this machine does for the menu, where there is one.

use std::env;

use crate::cli::{
    Context,
    report::{ExitCode, Failure},
    terminal,
};

/// Variables by which a graphical session is known where a machine may have none.
const SESSIONS: [&str; 2] = ["WAYLAND_DISPLAY", "DISPLAY"];

/// Whether there is a graphical session.
pub(super) fn is_there() -> bool {
    let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
    cfg!(any(target_os = "macos", windows)) || SESSIONS.into_iter().any(is_set)
}

/// Shows the folder of received files in the program for files.
pub(super) fn open_received(context: &Context) -> Result<(), Failure> {
    let folder = context.home.received(&context.config);
    if !folder.is_dir() {
        terminal::say(&format!("nothing was received yet: {}", folder.display()));
        return Ok(());
    }
    open::that_detached(&folder).map_err(|error| {
        let what = format!("no program opens {}: {error}", folder.display());
        Failure::new(ExitCode::NotFound, what)
    })?;
    terminal::say(&format!("opened {}", folder.display()));
    Ok(())
}
