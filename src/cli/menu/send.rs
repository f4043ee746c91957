//! Sending: what, to whom, and how.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Menu,
    ask::{self, Stop},
    choose,
    entries::way,
    jobs::{self, Request},
    paths::{self, PathCompletion},
    peers,
    words::{Words, words},
};
use crate::{
    cli::{
        password::Purpose,
        report::{ExitCode, Failure},
        terminal::{self, Shows},
    },
    config::units::Size,
    crypto::password::Password,
    name::Escaped,
    transfer::Sources,
};

#[derive(Clone, Copy)]
enum What {
    Files,
    Message,
    Share,
}

pub(super) async fn run(menu: &Menu) -> Result<(), Stop> {
    let ways = [
        (What::Files, "Files or folders"),
        (What::Message, "A text message"),
        (What::Share, "Share: keep files here, for others to fetch"),
    ];
    match way("Send what?", &ways).await? {
        What::Files => {
            let content = files(menu).await?;
            send(menu, content).await
        }
        What::Message => {
            let content = message().await?;
            send(menu, content).await
        }
        What::Share => share(menu).await,
    }
}

/// What is sent.
struct Content {
    /// Its name.
    what: String,
    /// With its size.
    described: String,
    of: Of,
}

enum Of {
    Paths(Vec<PathBuf>),
    Message(String),
}

async fn files(menu: &Menu) -> Result<Content, Stop> {
    let paths = paths().await?;
    let size = menu.watch(size(paths.clone())).await?;
    let what = names(&paths);
    Ok(Content {
        described: format!("{what} ({size})"),
        what,
        of: Of::Paths(paths),
    })
}

async fn message() -> Result<Content, Stop> {
    let check = |text: &str| match text.trim() {
        "-" => Err("a message says more than that".to_owned()),
        _ => Ok(()),
    };
    let text = ask::text("Message", None, Box::new(check)).await?;
    Ok(Content {
        what: "a message".to_owned(),
        described: "this message".to_owned(),
        of: Of::Message(text),
    })
}

/// How it is sent, beside to whom.
#[derive(Default)]
struct How {
    password: Option<Password>,
    via: Vec<String>,
    wait: bool,
    keep: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Go {
    Now,
    Options,
    No,
}

async fn send(menu: &Menu, content: Content) -> Result<(), Stop> {
    let to = peers::several(menu, "To whom?").await?;
    let question = format!("Send {} to {}?", content.described, shown(&to));
    let ways = [
        (Go::Now, "Send it"),
        (
            Go::Options,
            "Send it with a password, by a relay, or wait until it is opened",
        ),
        (Go::No, "Do not send it"),
    ];
    let how = match way(&question, &ways).await? {
        Go::Now => How::default(),
        Go::Options => options(menu, &to).await?,
        Go::No => return Err(Stop::Back),
    };
    if how.via.is_empty() {
        peers::reach(menu, &to).await?;
    }
    let (to_all, via) = (to.join(","), how.via.join(","));
    let mut send = vec!["send", "--to", &to_all];
    if !via.is_empty() {
        send.extend(["--via", &via]);
    }
    for (flag, is_set) in [
        ("--wait", how.wait),
        ("--keep", how.keep),
        ("--password", how.password.is_some()),
    ] {
        send.extend(is_set.then_some(flag));
    }
    let what = format!("{} to {}", content.what, shown(&to));
    let of = match &content.of {
        Of::Paths(paths) => jobs::Of::Files(paths.clone(), to),
        Of::Message(_) => jobs::Of::Unknown,
    };
    let words = content.of.after(&send);
    jobs::start(
        menu,
        Arc::new(Request {
            what,
            words,
            password: how.password,
            of,
        }),
    )
}

impl Of {
    /// A command with it as its last words.
    fn after(self, command: &[&str]) -> Words {
        match self {
            Self::Paths(paths) => words(&[command, &["--"]].concat()).paths(paths),
            Self::Message(text) => words(&[command, &[&format!("--text={text}")]].concat()),
        }
    }
}

async fn options(menu: &Menu, to: &[String]) -> Result<How, Stop> {
    let names = shown(to);
    let items = [
        format!("Whoever has a password can open it too, not only {names}"),
        "By a relay: another peer keeps it for who is off".to_owned(),
        format!("It counts as sent when {names} opened it"),
        "Keep it in the store here too".to_owned(),
    ];
    let chosen = choose::several("How?", "goes on", items.to_vec()).await?;
    let mut how = How {
        wait: chosen.contains(&2),
        keep: chosen.contains(&3),
        ..How::default()
    };
    if chosen.contains(&1) {
        how.via = peers::several(menu, "By whom?").await?;
        peers::reach(menu, &how.via).await?;
    }
    if chosen.contains(&0) {
        how.password = Some(menu.password(Purpose::Seal).await?);
    }
    Ok(how)
}

async fn share(menu: &Menu) -> Result<(), Stop> {
    let content = files(menu).await?;
    let ways = [(true, "Everybody who is known"), (false, "Some peers")];
    let to = match way("Who can open it?", &ways).await? {
        true => Vec::new(),
        false => peers::several(menu, "Whom is it shared with?").await?,
    };
    let all = to.join(",");
    let (share, with) = match to.is_empty() {
        true => (vec!["share"], "everybody".to_owned()),
        false => (vec!["share", "--to", &all], shown(&to)),
    };
    if !ask::yes(&format!("Share {} with {with}?", content.described)).await? {
        return Err(Stop::Back);
    }
    let what = format!("{} shared with {with}", content.what);
    let words = content.of.after(&share);
    jobs::start(
        menu,
        Arc::new(Request {
            what,
            words,
            password: None,
            of: jobs::Of::Unknown,
        }),
    )
}

fn shown(names: &[String]) -> String {
    Escaped::new(&names.join(", ")).to_string()
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
