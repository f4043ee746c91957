//! Sending: what, to whom, for whose eyes.

use std::path::{Path, PathBuf};

use super::{
    Menu,
    ask::{self, Stop},
    choose,
    paths::{self, PathCompletion},
    peers, words,
};
use crate::{
    cli::{
        report::{ExitCode, Failure},
        terminal::{self, Shows},
    },
    config::units::Size,
    name::Escaped,
    transfer::Sources,
};

pub(super) async fn run(menu: &Menu) -> Result<(), Stop> {
    let paths = paths().await?;
    let size = menu.watch(size(paths.clone())).await?;
    let peer = peers::choose(menu, "To whom?").await?;
    let locks = [
        format!("{peer} alone can open it"),
        format!("{peer}, and whoever has a password"),
    ];
    let password = choose::one("Encrypt for whom?", locks.to_vec()).await? == 1;
    let what = names(&paths);
    if !ask::yes(&format!("Send {what} ({size}) to {peer}?")).await? {
        return Err(Stop::Back);
    }
    let mut send = vec!["send", "--to", &peer];
    if password {
        send.push("--password");
    }
    send.push("--");
    menu.run(words(&send).paths(paths)).await
}

/// Asks until every path is there.
async fn paths() -> Result<Vec<PathBuf>, Stop> {
    terminal::say(match terminal::shows() {
        Shows::Screen => {
            "Type or drop files and folders here; Tab completes, an empty line goes back."
        }
        Shows::Lines => "Type files and folders here; an empty line goes back.",
    });
    let home = std::env::home_dir();
    let check = {
        let home = home.clone();
        move |text: &str| paths::parse(text, home.as_deref()).map(drop)
    };
    let completion = PathCompletion { home: home.clone() };
    let line = ask::completed("Files or folders", Box::new(check), completion).await?;
    let paths = paths::parse(&line, home.as_deref()).map_err(Failure::usage)?;
    // A file may be called `-`, which as a word means something else.
    let absolute = |path: PathBuf| std::path::absolute(&path).unwrap_or(path);
    Ok(paths.into_iter().map(absolute).collect())
}

/// Bytes of all of them. A large folder takes a while to walk.
async fn size(paths: Vec<PathBuf>) -> Result<Size, Failure> {
    let walked = tokio::task::spawn_blocking(move || Sources::walk(&paths)).await;
    let walked = walked.map_err(|e| Failure::new(ExitCode::Storage, e))?;
    Ok(Size(walked?.size().unwrap_or(0)))
}

fn names(paths: &[PathBuf]) -> String {
    let name = |path: &PathBuf| {
        let name = path.file_name().map_or(path.as_path(), Path::new);
        Escaped::new(&name.to_string_lossy()).to_string()
    };
    match paths {
        [first] => name(first),
        [first, others @ ..] => format!("{} and {} more", name(first), others.len()),
        [] => String::new(),
    }
}
