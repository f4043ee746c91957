//! Putting a machine out of the circle, on the machine that has the circle's key.

use super::{
    Menu,
    ask::{self, Stop},
    choose, words,
};
use crate::{
    cli::{report::Failure, show::brief, terminal},
    name::Escaped,
    session::certs,
    tls::ca::Purpose,
};

/// How a block differs.
pub(super) const INSTEAD: &str = "A block is of this machine alone. What is lost or stolen is revoked instead, in the menu of the machine that made the \
     circle: then no member takes it any more.";

/// A machine of the circle.
pub(super) struct Member {
    name: String,
    id: String,
}

/// Those that could be revoked: every other one to which a certificate was issued that counts.
pub(super) fn candidates(menu: &Menu) -> Result<Vec<Member>, Failure> {
    let context = menu.context()?;
    let me = context.session()?.peer_id();
    let mut members = Vec::<Member>::new();
    for issued in certs::circle(&context.home)?.issued {
        let id = issued.peer_id.to_string();
        let is_known = members.iter().any(|member| member.id == id);
        let counts = !issued.revoked && issued.purpose == Purpose::Peer;
        if counts && issued.peer_id != me && !is_known {
            let name = issued.name;
            members.push(Member { name, id });
        }
    }
    Ok(members)
}

pub(super) async fn run(menu: &Menu) -> Result<(), Stop> {
    let members = candidates(menu)?;
    brief::note(members.iter().map(|member| &member.id));
    let label = |member: &Member| {
        let (name, id) = (Escaped::new(&member.name), brief::id(&member.id));
        ask::cut(&format!("{name}  {id}"))
    };
    let chosen = choose::one("Revoke whom?", members.iter().map(label).collect()).await?;
    let member = members.get(chosen).ok_or(Stop::Back)?;
    terminal::say(
        "No member takes it any more once it has heard of that, and it cannot be taken back: to come back it pairs again, as \
         another one. What it has received already stays there. To keep it out of this machine alone, and for a time: Block.",
    );
    let question = format!("Revoke {} for good?", label(member));
    match ask::sure(&question).await? {
        true => {
            menu.run(words(&["certs", "revoke", "--yes", "--", &member.id]))
                .await
        }
        false => Err(Stop::Back),
    }
}
