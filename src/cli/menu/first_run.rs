//! The first run: what is missing is made by asking, and said.

use std::{fs, net::SocketAddr, path::Path};

use super::{
    Menu, ask,
    ask::Stop,
    background, choose,
    paths::{self, PathCompletion},
    words,
};
use crate::{
    cli::{Context, report::Failure, terminal},
    tls::CertsDir,
    trust::{NAME_RULE, is_peer_name},
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
    let circle = certificates(menu).await?;
    say_made(&context);
    port(menu, &context).await?;
    if circle {
        terminal::say(
            "For another machine: 6 Peers, \"certificates for a new machine\" makes a folder. Carry it there, \
             run `colis` there, and choose to take it over.",
        );
    } else {
        terminal::say("The peers that the folder knows are in the list already: 6 Peers.");
    }
    Ok(())
}

/// Makes a circle, or takes a folder over, until one of both is done. Gives whether a circle was made.
async fn certificates(menu: &Menu) -> Result<bool, Stop> {
    loop {
        let ways = [
            "Make a circle: this is the first machine",
            "Take over a folder of certificates that another machine made for this one",
        ];
        let way = choose::one("Who is this machine?", ways.map(str::to_owned).to_vec()).await;
        let done = match way {
            Ok(0) => make_circle(menu).await.map(|()| true),
            Ok(_) => take_over(menu).await.map(|()| false),
            Err(stop) => return Err(stop),
        };
        match done {
            Err(Stop::Back) => {}
            Err(Stop::Failed(failure)) => failure.print(menu.output()),
            done => return done,
        }
    }
}

async fn make_circle(menu: &Menu) -> Result<(), Stop> {
    let check = |text: &str| {
        let is_name = is_peer_name(text.trim());
        is_name.then_some(()).ok_or(NAME_RULE.to_owned())
    };
    let name = ask::text("Name of this machine", host_name(), Box::new(check)).await?;
    let name = name.trim().to_owned();
    menu.run(words(&["certs", "init", "--name", &name])).await
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

/// What the system calls this machine, as a name of ours.
fn host_name() -> Option<String> {
    let name = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .to_lowercase();
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
    let name: String = name.chars().filter(|c| allowed(*c)).take(63).collect();
    let name = name.trim_start_matches(['-', '_', '.']).to_owned();
    is_peer_name(&name).then_some(name)
}

/// Asks for the port, unless the settings say it, and keeps it if it is not the usual one.
async fn port(menu: &Menu, context: &Context) -> Result<(), Stop> {
    if context.home.config().exists() {
        return Ok(());
    }
    let any = SocketAddr::from(([0, 0, 0, 0], DEFAULT_PORT));
    let port = background::port("Port", any, Some(DEFAULT_PORT)).await?;
    if port != DEFAULT_PORT {
        let listen = format!("0.0.0.0:{port}");
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
