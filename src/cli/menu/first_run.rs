//! The first run: what is missing is made by asking, and said. Nothing is made before the last answer.

use std::{net::SocketAddr, path::Path};

use super::{
    Menu, ask,
    ask::Stop,
    background, choose,
    paths::{self, PathCompletion},
    peers, words,
};
use crate::{
    address::{DEFAULT_LISTEN, PeerAddress},
    cli::{
        Context,
        pair::{self, Source},
        report::{Failure, to_go_back},
        show, terminal,
    },
    discover::Discovery,
    pair::Code,
    session::{
        certs::LeaveError,
        discovery, host_name,
        pair::{Inviter, JoinRequest, JoinedCircle, make_circle, shown_around},
    },
};

/// Machines that show a code and are listed; others are joined by their address.
const MAX_LISTED: usize = 5;

/// Makes a peer in this home.
pub(super) async fn run(menu: &Menu) -> Result<(), Stop> {
    let context = menu.context()?;
    terminal::say(&format!(
        "{}\n\
         A circle is the machines that trust each other: one makes it, the others join by a code that this one shows.",
        welcome(&context)
    ));
    loop {
        let (ways, labels) = ways(&context).await;
        let chosen = choose::one("Who is this machine?", labels).await?;
        let done = match ways.into_iter().nth(chosen) {
            Some(Way::Make) => make(menu, &context).await,
            Some(Way::TakeOver) => take_over(menu, &context).await,
            Some(Way::Join(inviter)) => join(menu, &context, inviter).await,
            Some(Way::LookAgain) | None => continue,
        };
        match done {
            Err(Stop::Back | Stop::Ended) => {}
            Err(Stop::Failed(failure)) => failure.print(menu.output()),
            done => return done,
        }
    }
}

/// That nothing is set up, or that a circle was left, and the way back.
fn welcome(context: &Context) -> String {
    let root = context.home.root().display();
    let Some(LeaveError::HasLeft {
        folder,
        certs,
        revoked,
    }) = context.home.left()
    else {
        return format!(
            "Welcome to colis. Nothing is set up in {root} yet; --home names another folder."
        );
    };
    let back = match revoked {
        true => "they let nobody in any more, and still open what was sealed for them: keep them"
            .to_owned(),
        false => format!("to go back, quit and type: {}", to_go_back(&folder, &certs)),
    };
    format!(
        "This home, {root}, has left its circle. Its keys are in {}: {back}.",
        folder.display()
    )
}

/// How this machine gets into a circle.
enum Way {
    /// It makes one.
    Make,
    /// By a folder that was carried here.
    TakeOver,
    /// By the code of another machine, which was seen in the network or is asked for.
    Join(Option<Inviter>),
    /// Perhaps a code is shown now.
    LookAgain,
}

/// What can be done, the likeliest first, and how it is called.
async fn ways(context: &Context) -> (Vec<Way>, Vec<String>) {
    let looks = discovery(&context.config) == Discovery::On;
    if looks {
        terminal::say("Looking for machines that show a code in this network ...");
    }
    let mut shown = shown_around(&context.config).await;
    shown.truncate(MAX_LISTED);
    let join = "Join a circle by a code that another machine shows".to_owned();
    let join = (Way::Join(None), join);
    let mut ways: Vec<_> = shown.into_iter().map(seen).collect();
    let is_alone = ways.is_empty();
    if !is_alone {
        ways.push((
            Way::Join(None),
            "Join another circle by a code that its machine shows".to_owned(),
        ));
    }
    let make = "Make a circle: this is the first machine".to_owned();
    ways.push((Way::Make, make));
    let take_over = "Take over a folder of certificates that another machine made for this one";
    ways.push((Way::TakeOver, take_over.to_owned()));
    if is_alone {
        ways.push(join);
    }
    if looks {
        let again = "Look again: another machine shows a code now";
        ways.push((Way::LookAgain, again.to_owned()));
    }
    ways.into_iter().unzip()
}

fn seen(inviter: Inviter) -> (Way, String) {
    let (name, at) = (inviter.called(), place(&inviter));
    let label = format!("Join the circle of {name}, which shows a code at {at}");
    (Way::Join(Some(inviter)), label)
}

/// Where it is, as it can be typed.
fn place(inviter: &Inviter) -> String {
    let seen = inviter.seen_at().map(PeerAddress::from);
    seen.map_or_else(|| inviter.called().to_owned(), |at| at.to_string())
}

async fn make(menu: &Menu, context: &Context) -> Result<(), Stop> {
    let name = name().await?;
    let listen = other_port(context).await?;
    let made = make_circle(&context.home, Some(&name), &*context.screen());
    if let Some(made) = made.map_err(Failure::from)? {
        show::pair::made_circle(context.output, made);
    }
    keep(menu, listen).await?;
    terminal::say(
        "For another machine: 1 Pair shows a code. Run `colis` there, and choose to join.",
    );
    Ok(())
}

async fn name() -> Result<String, Stop> {
    let check = Box::new(peers::check_called);
    let name = ask::text("Name of this machine", host_name(), check).await?;
    Ok(name.trim().to_owned())
}

/// Joins, however often it takes: what fails leads back to the address, so that a code which is typed then is taken for
/// nothing else.
async fn join(menu: &Menu, context: &Context, mut inviter: Option<Inviter>) -> Result<(), Stop> {
    if inviter.is_none() {
        terminal::say("On the machine that made the circle: `colis pair`, or 1 in its menu.");
    }
    let (mut name_here, mut before) = (None, None);
    let (joined, listen) = loop {
        let there = match inviter.take() {
            Some(seen) => seen,
            None => address(before.take()).await?,
        };
        before = Some(place(&there));
        let name = match &name_here {
            Some(name) => String::clone(name),
            None => name_here.insert(name().await?).clone(),
        };
        let listen = other_port(context).await?;
        match join_at(context, there, name, listen).await {
            Err(Stop::Failed(failure)) => failure.print(menu.output()),
            done => break (done?, listen),
        }
    };
    keep(menu, listen).await?;
    terminal::say(&format!(
        "To send to {}: 2, while it serves.",
        joined.issuer
    ));
    Ok(())
}

async fn join_at(
    context: &Context,
    there: Inviter,
    name: String,
    listen: Option<SocketAddr>,
) -> Result<JoinedCircle, Stop> {
    let mut request = JoinRequest::of(there);
    request.name = Some(name);
    request.port = listen.map(|listen| listen.port());
    match pair::join(context, request, Source::Person).await {
        Err(failure) if failure.code.is_interruption() => Err(Stop::Interrupted),
        joined => Ok(joined?),
    }
}

/// The machine that shows the code, asked for until it is one.
async fn address(before: Option<String>) -> Result<Inviter, Stop> {
    let check = |text: &str| {
        let text = text.trim();
        if text.is_empty() {
            return Err("an address or a name; Esc goes back".to_owned());
        }
        if Code::is_meant_by(text) {
            let first = "this is a code: first the address or name of the machine that shows it";
            return Err(first.to_owned());
        }
        let parsed = text.parse::<Inviter>();
        parsed.map(drop).map_err(|error| error.to_string())
    };
    let prompt = "The address or name that it shows";
    let typed = ask::needed(prompt, before, Box::new(check)).await?;
    let parsed = typed.trim().parse::<Inviter>();
    Ok(parsed.map_err(Failure::from)?)
}

async fn take_over(menu: &Menu, context: &Context) -> Result<(), Stop> {
    let home = std::env::home_dir();
    let folder = one_folder(home.as_deref());
    let completion = PathCompletion { home: home.clone() };
    let line = ask::completed("The folder", Box::new(folder), completion).await?;
    let folder = paths::parse(&line, home.as_deref()).map_err(Failure::usage)?;
    let listen = other_port(context).await?;
    let import = words(&["certs", "import", "--"]).paths(folder);
    menu.run(import).await?;
    keep(menu, listen).await?;
    terminal::say("The peers that are known now are in the list already: 7 Peers.");
    Ok(())
}

fn one_folder(home: Option<&Path>) -> impl Fn(&str) -> Result<(), String> + use<> {
    let home = home.map(Path::to_owned);
    move |text| match paths::parse(text, home.as_deref())?.as_slice() {
        [folder] if folder.is_dir() => Ok(()),
        _ => Err("one folder, as `colis certs issue` makes it".to_owned()),
    }
}

/// Asks for another port, if the usual one is taken and the settings say none.
async fn other_port(context: &Context) -> Result<Option<SocketAddr>, Stop> {
    if context.config.listen.is_some() {
        return Ok(None);
    }
    background::other_port(DEFAULT_LISTEN, "Another port").await
}

/// Keeps what is not usual in the settings. Only now: whoever joins has no home before.
async fn keep(menu: &Menu, listen: Option<SocketAddr>) -> Result<(), Stop> {
    if let Some(listen) = listen {
        let listen = listen.to_string();
        menu.run(words(&["config", "set", "listen", &listen]))
            .await?;
    }
    let Some(folder) = received(&menu.context()?).await? else {
        return Ok(());
    };
    let words = words(&["config", "set", "received", "--", &folder]);
    match menu.run(words).await {
        // Everything is made, and there are the settings.
        Err(Stop::Failed(failure)) => {
            failure.print(menu.output());
            Ok(())
        }
        done => done,
    }
}

/// Asks where received files are to appear, unless the settings say it. None if that is as it would be anyway.
async fn received(context: &Context) -> Result<Option<String>, Stop> {
    if context.config.received.is_some() {
        return Ok(None);
    }
    let usual = context.home.received(&context.config);
    let usual = usual.to_string_lossy().into_owned();
    let (home, unchanged) = (context.home.clone(), usual.clone());
    let check = move |text: &str| match text.trim() {
        // What is usual is made when it is needed.
        text if text == unchanged => Ok(()),
        text => {
            let checked = home.check_received(text).map_err(Failure::from);
            checked.map_err(Failure::sentences)
        }
    };
    let asked = ask::text(
        "Folder for received files",
        Some(usual.clone()),
        Box::new(check),
    );
    match asked.await {
        Ok(typed) => Ok(Some(typed.trim().to_owned()).filter(|typed| *typed != usual)),
        // Everything is made: who goes back takes what is usual.
        Err(Stop::Back | Stop::Ended) => Ok(None),
        Err(stop) => Err(stop),
    }
}
