//! `certs leave`: what it means is said, and then it is asked.

use std::io::{self, IsTerminal as _};

use crate::{
    cli::{
        Context,
        report::{ExitCode, Failure},
        terminal,
    },
    name::Escaped,
    session::{
        Event,
        certs::{self, Departure, LeaveRequest},
    },
};

const NOTHING: &str = "interrupted; nothing was changed";

/// Leaves the circle. `end_circle` is the name of this machine, or empty if the person is to type it.
pub(super) async fn run(
    context: &Context,
    end_circle: Option<String>,
    yes: bool,
) -> Result<(), Failure> {
    let (home, config) = (&context.home, &context.config);
    let departure = certs::departure(home, config).await?;
    let is_terminal = io::stdin().is_terminal() && io::stderr().is_terminal();
    let mut request = LeaveRequest {
        end_circle: end_circle.clone().filter(|name| !name.is_empty()),
    };
    let is_to_type = end_circle.is_some_and(|name| name.is_empty());
    if is_to_type && (yes || !is_terminal) {
        return Err(
            Failure::usage("nothing was changed: the name of this machine is missing")
                .hint("name it: --end-circle NAME --yes"),
        );
    }
    // Nobody is told and asked what is refused whatever the answer is.
    let mut asked = request.clone();
    if is_to_type {
        asked.end_circle = Some(departure.name.clone());
    }
    certs::check_leave(home, &asked)?;
    say(context, &departure);
    if is_terminal && is_to_type {
        request.end_circle = Some(typed_name(&departure.name).await?);
    } else if !yes && !is_terminal {
        return Err(
            Failure::usage("nothing was changed: this is asked on a terminal")
                .hint("say yes: colis certs leave --yes"),
        );
    } else if !yes && !agreed("Leave it? [y/N]").await? {
        context.output.talk("nothing was changed");
        return Ok(());
    }
    let left = certs::leave(home, config, &request).await?;
    context.tell(&Event::Left(left));
    Ok(())
}

/// Says what leaving means.
fn say(context: &Context, departure: &Departure) {
    let (output, name) = (context.output, &departure.name);
    match (departure.ends_circle, &departure.maker) {
        (true, _) => output.talk(format!(
            "{name} leaves its circle, and the circle ends: nobody can be let in, renewed or revoked in it any more"
        )),
        (false, Some(maker)) => {
            output.talk(format!("{name} leaves the circle of {}", Escaped::new(maker)));
        }
        (false, None) => output.talk(format!("{name} leaves its circle")),
    }
    if let Some(others) = departure
        .others
        .as_ref()
        .filter(|others| !others.is_empty())
    {
        output.talk(format!(
            "still in it, and to be told by you: {}",
            Escaped::new(&others.join(", "))
        ));
    }
    output.talk(format!(
        "- its keys, certificates and address book move to a folder in {}",
        departure.folder
    ));
    output.talk(
        "- received files, the store, the history and the settings stay; what is sealed for it can still be opened here",
    );
    output.talk(match departure.ends_circle {
        _ if departure.authority.is_some() => {
            "- no member reaches it any more, and it reaches none; its certificate counts until the authority revokes it. To go back, \
             move that folder back to certs/"
        }
        true => "- to go back, move that folder back to certs/",
        false => {
            "- no member reaches it any more, and it reaches none; the circle's machine is asked to revoke it: to come back, it \
             pairs again"
        }
    });
    if !departure.rules.is_empty() {
        let rules = departure.rules.iter().map(|name| format!("[peers.{name}]"));
        let rules: Vec<_> = rules.collect();
        output.talk(format!(
            "- the rules {} of colis.toml stay too, and count for whoever is called so in another circle: remove those that \
             must not",
            Escaped::new(&rules.join(", "))
        ));
    }
}

/// Asks; no is the answer of an empty line.
pub(super) async fn agreed(question: &'static str) -> Result<bool, Failure> {
    let ask = move || {
        loop {
            let answer = terminal::read_line(question)?;
            match answer.trim().to_ascii_lowercase().as_str() {
                "y" | "yes" => return Ok(true),
                "" | "n" | "no" => return Ok(false),
                _ => terminal::say("y or n"),
            }
        }
    };
    terminal::asked("answer", NOTHING, ask).await
}

/// Has the name of this machine typed.
async fn typed_name(name: &str) -> Result<String, Failure> {
    let prompt = format!("Type the name of this machine, {name}, to end its circle");
    let ask = move || terminal::read_line(&prompt).map(|line| line.trim().to_owned());
    let typed: String = terminal::asked("name", NOTHING, ask).await?;
    match typed.is_empty() {
        false => Ok(typed),
        true => Err(Failure::new(
            ExitCode::Usage,
            "no name was typed: nothing was changed",
        )),
    }
}
