//! The first run: what is missing is made by asking, and said.

use std::{fs, path::Path};

use super::{
    Menu, ask,
    ask::Stop,
    background, choose,
    paths::{self, PathCompletion},
    words,
};
use crate::{
    address::DEFAULT_LISTEN,
    cli::{Context, report::Failure, terminal},
    private,
    session::{host_name, pair::Inviter},
    tls::CertsDir,
    trust::{NAME_RULE, is_new_peer_name},
    wire::DEFAULT_PORT,
};

/// What the files of `certs/` are, for whoever sees them for the first time.
const FILES: [(&str, &str); 8] = [
    ("ca-cert.pem", "the circle: who it signs is a member"),
    ("ca-key.pem", "the circle's key; it stays on this machine"),
    ("server-cert.pem", "this peer's certificate"),
    ("server-key.pem", "its key"),
    ("client-cert.pem", "a certificate for curl and scripts"),
    ("client-key.pem", "its key"),
    ("seal-key.pem", "opens what is sealed for this peer"),
    ("crl.pem", "which certificates are revoked"),
];

/// Whether there is no peer in this home, nor a part of one.
pub(super) fn is_needed(context: &Context) -> bool {
    let dir = CertsDir::new(context.home.certs());
    let parts = [
        dir.ca_cert(),
        dir.ca_key(),
        dir.server_cert(),
        dir.server_key(),
        dir.seal_key(),
    ];
    !parts.iter().any(|path| path.exists())
}

/// Makes a peer in this home.
pub(super) async fn run(menu: &Menu) -> Result<(), Stop> {
    let context = menu.context()?;
    let root = context.home.root().display();
    terminal::say(&format!(
        "Welcome to colis. Nothing is set up in {root} yet; --home names another folder."
    ));
    let made = certificates(menu, &context).await?;
    say_made(&context);
    if !matches!(made, Made::Joined) {
        port(menu, &context).await?;
    }
    terminal::say(match made {
        Made::Circle => {
            "For another machine: 0 Pair shows a code. Run `colis` there, and choose to join."
        }
        Made::Member | Made::Joined => {
            "The peers that are known now are in the list already: 6 Peers."
        }
    });
    Ok(())
}

/// What this machine is now.
enum Made {
    /// The one that holds the circle.
    Circle,
    /// A member of another one's.
    Member,
    /// One that has told that other one its port.
    Joined,
}

/// Makes a circle, takes a folder over, or joins, until one of these is done.
async fn certificates(menu: &Menu, context: &Context) -> Result<Made, Stop> {
    loop {
        let ways = [
            "Make a circle: this is the first machine",
            "Take over a folder of certificates that another machine made for this one",
            "Join a circle by a code that another machine shows",
        ];
        let way = choose::one("Who is this machine?", ways.map(str::to_owned).to_vec()).await;
        let done = match way {
            Ok(0) => make_circle(menu).await.map(|()| Made::Circle),
            Ok(1) => take_over(menu).await.map(|()| Made::Member),
            Ok(_) => join(menu, context).await.map(|()| Made::Joined),
            Err(stop) => return Err(stop),
        };
        match done {
            Err(Stop::Back | Stop::Ended) => {}
            Err(Stop::Failed(failure)) => failure.print(menu.output()),
            done => return done,
        }
    }
}

async fn make_circle(menu: &Menu) -> Result<(), Stop> {
    let name = name().await?;
    menu.run(words(&["certs", "init", "--name", &name])).await
}

async fn name() -> Result<String, Stop> {
    let check = |text: &str| {
        let is_name = is_new_peer_name(text.trim());
        is_name.then_some(()).ok_or(NAME_RULE.to_owned())
    };
    let name = ask::text("Name of this machine", host_name(), Box::new(check)).await?;
    Ok(name.trim().to_owned())
}

/// Asks everything before the code: the port goes to the other machine with the name.
async fn join(menu: &Menu, context: &Context) -> Result<(), Stop> {
    terminal::say("On the machine that made the circle: `colis pair`, or 0 in its menu.");
    let check = |text: &str| {
        let parsed = text.trim().parse::<Inviter>();
        parsed.map(drop).map_err(|error| error.to_string())
    };
    let host = ask::text("The address or name that it shows", None, Box::new(check)).await?;
    let name = name().await?;
    port(menu, context).await?;
    let pair = words(&["pair", "--name", &name, "--", host.trim()]);
    menu.pair(pair).await
}

async fn take_over(menu: &Menu) -> Result<(), Stop> {
    let home = std::env::home_dir();
    let folder = one_folder(home.as_deref());
    let completion = PathCompletion { home: home.clone() };
    let line = ask::completed("The folder", Box::new(folder), completion).await?;
    let folder = paths::parse(&line, home.as_deref()).map_err(Failure::usage)?;
    menu.run(words(&["certs", "import", "--"]).paths(folder))
        .await
}

fn one_folder(home: Option<&Path>) -> impl Fn(&str) -> Result<(), String> + use<> {
    let home = home.map(Path::to_owned);
    move |text| match paths::parse(text, home.as_deref())?.as_slice() {
        [folder] if folder.is_dir() => Ok(()),
        _ => Err("one folder, as `colis certs issue` makes it".to_owned()),
    }
}

/// Asks for the port, unless the settings say it, and keeps it if it is not the usual one.
async fn port(menu: &Menu, context: &Context) -> Result<(), Stop> {
    if context.home.config().exists() {
        return Ok(());
    }
    let port = background::port("Port", DEFAULT_LISTEN, Some(DEFAULT_PORT)).await?;
    if port != DEFAULT_PORT {
        // Who joins has no home yet.
        let root = context.home.root();
        private::make_folder(root).map_err(|e| Failure::io(root, &e))?;
        let listen = format!("[::]:{port}");
        menu.run(words(&["config", "set", "listen", &listen]))
            .await?;
    }
    Ok(())
}

fn say_made(context: &Context) {
    let certs = context.home.certs();
    terminal::say(&format!("In {}:", certs.display()));
    for (name, what) in FILES {
        if fs::exists(certs.join(name)).unwrap_or(false) {
            terminal::say(&format!("  {name:<16} {what}"));
        }
    }
}
