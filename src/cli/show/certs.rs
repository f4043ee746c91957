//! What is said of the circle and its certificates.

use super::{
    brief, pair,
    table::{Cell, Row},
};
use crate::{
    cli::output::Output,
    config::units::count,
    manifest::Timestamp,
    name::Escaped,
    session::{
        Event,
        certs::{
            CertificateOf, ChangedPassphrase, IssuedCertificate, LeftCircle, RenewedCertificate,
            RevokedPeer,
        },
    },
};

/// Says the events of certificates.
pub(super) fn say(output: Output, event: &Event) {
    match event {
        Event::Asked { known, reached: 0 } => {
            let none = match known {
                1 => "the one peer that is known here has not".to_owned(),
                _ => format!("none of the {known} peers that are known here has"),
            };
            output.warn(format!(
                "{none} answered: if this home was restored from a backup, what came after that is not known here"
            ));
        }
        Event::NotAsked { reason } => {
            output.warn(format!("no member was asked: {}", Escaped::new(reason)));
        }
        Event::Made(made) => {
            let id = brief::id(made.peer_id);
            output.line(format!("{}  {id}  {}", made.name, made.folder));
        }
        Event::Identity(own) => output.line(format!(
            // Whole: two people compare it.
            "this peer: {}  {}  valid until {}",
            own.name,
            own.peer_id,
            brief::time(own.not_after)
        )),
        Event::Circle { not_after } => output.line(match *not_after < Timestamp::now() {
            false => format!("the circle: valid until {}", brief::time(*not_after)),
            true => format!(
                "the circle: expired {}; its owner renews it: colis certs renew-circle",
                brief::time(*not_after)
            ),
        }),
        Event::Issued(issued) => output.row(row(issued)),
        Event::Revoked(revoked) => say_revoked(output, revoked),
        Event::Left(left) => say_left(output, left),
        Event::Renewed(renewed) => say_renewed(output, renewed),
        Event::Passphrase(changed) => say_passphrase(output, changed),
        _ => pair::say(output, event),
    }
}

fn say_passphrase(output: Output, changed: &ChangedPassphrase) {
    let files = changed.files.join(", ");
    output.line(match (changed.set, changed.before) {
        (true, false) => format!("under the passphrase now: {files}"),
        (true, true) => format!("under the new passphrase now: {files}"),
        (false, true) => format!("without a passphrase now: {files}"),
        (false, false) => "the keys have no passphrase".to_owned(),
    });
}

fn row(issued: &IssuedCertificate) -> Row {
    let (name, until) = (Escaped::new(&issued.name), brief::time(issued.not_after));
    let mark = if issued.revoked { "revoked" } else { "" };
    Row(vec![
        Cell::Names(format!("issued: {name}")),
        Cell::Word(format!("{:?}", issued.purpose).to_lowercase()),
        Cell::Id(issued.peer_id.to_string()),
        Cell::Word(format!("valid until {until}")),
        Cell::Word(mark.to_owned()),
    ])
}

fn say_revoked(output: Output, revoked: &RevokedPeer) {
    let ids: Vec<_> = revoked.peer_ids.iter().map(brief::id).collect();
    let (name, ids) = (Escaped::new(&revoked.name), ids.join(", "));
    output.line(match (revoked.before, revoked.certificates) {
        (true, _) => format!("{name} was revoked before: peer {ids}"),
        (false, 0) => {
            format!("revoked {name}: peer {ids}, of which no certificate is on record here")
        }
        (false, many) => {
            let many = count(many, "certificate", "certificates");
            format!("revoked {many} of {name}: peer {ids}")
        }
    });
    output.talk(
        "a peer serving this home acts on it within a second, and others once they meet one that knows: within minutes, if they serve",
    );
}

fn say_left(output: Output, left: &LeftCircle) {
    let id = brief::id(left.peer_id);
    output.line(format!("{}  {id}  {}", left.name, left.folder));
    let maker = left.maker.as_deref();
    let maker = maker.map_or("the circle's machine".to_owned(), |maker| {
        Escaped::new(maker).to_string()
    });
    let name = &left.name;
    match (&left.not_revoked, left.to_revoke()) {
        (_, None) if left.revoked_before => output.talk(format!(
            "the certificates of {name} were revoked before: it was a member no more"
        )),
        (_, None) if left.revoked => {
            output.talk(format!("{maker} has revoked the certificates of {name}"));
        }
        (_, None) => {
            if let Some(authority) = &left.authority {
                output.talk(format!(
                    "the certificate of {name} counts until {} revokes it",
                    Escaped::new(authority)
                ));
            }
        }
        (Some(why), Some(todo)) if why.reached => output.talk(format!(
            "{maker} has not revoked {name} ({}), and counts it as a member; on that machine: {todo}",
            Escaped::new(&why.message)
        )),
        (why, Some(todo)) => {
            let why = why.as_ref().map(|why| format!(" ({})", Escaped::new(&why.message)));
            output.talk(format!(
                "{maker} was not reached{}, and may count {name} as a member; on that machine: {todo}",
                why.unwrap_or_default()
            ));
        }
    }
    output.talk(match left.authority {
        Some(_) => "left; next: colis certs import --ca FILE --cert FILE --key FILE, or a circle of your own: colis pair",
        None => "left; next: join another circle: colis pair HOST, or make one: colis certs init --name NAME",
    });
}

fn say_renewed(output: Output, renewed: &RenewedCertificate) {
    let (name, until) = (
        renewed.name.as_deref().unwrap_or_default(),
        brief::time(renewed.not_after),
    );
    let what = match renewed.purpose {
        CertificateOf::Peer => name.to_owned(),
        CertificateOf::Script => format!("the certificate for scripts of {name}"),
        CertificateOf::Circle => "the circle's own certificate".to_owned(),
    };
    output.line(match renewed.new {
        true => format!("renewed: {what} is valid until {until}"),
        false => format!("not renewed yet: {what} is valid until {until}"),
    });
    if renewed.purpose == CertificateOf::Circle {
        output.talk(
            "a peer serving this home shows it within a second; the others take it over when they meet one that has it, by \
             themselves if they serve",
        );
    } else if let Some(from) = renewed.renewable_from.filter(|_| !renewed.new) {
        output.talk(format!(
            "the circle's machine renews a certificate when a third of its time is over: from {}",
            brief::time(from)
        ));
    }
}
