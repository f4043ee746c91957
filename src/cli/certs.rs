//! `certs`: the circle and its certificates.

mod renew;

use std::{fs, path::Path};

use serde_json::json;

use super::{
    Context,
    args::{Certs, CertsCommand},
    ask::Asked,
    report::{ExitCode, Failure},
};
use crate::{
    manifest::{Signer as _, Timestamp},
    name::{Escaped, PathText},
    tls::{
        self, CertsDir, Identity, Renewed, TlsError,
        ca::{self, CertificateOptions},
    },
    trust::is_peer_name,
};

/// A certificate that ends within a third of its year is worth a word.
const WARN_SECONDS: u64 = 120 * 24 * 3600;

pub(super) async fn run(context: &Context, args: Certs) -> Result<ExitCode, Failure> {
    let dir = CertsDir::new(context.home.certs());
    match args.command {
        CertsCommand::Init { name, san } => {
            let identity = ca::init(
                &dir,
                &name,
                &CertificateOptions {
                    sans: san,
                    ..CertificateOptions::default()
                },
            )?;
            made(context, &identity, &dir);
            context
                .output
                .talk("next: a folder for another machine: colis certs issue NAME --out DIR");
        }
        CertsCommand::Issue { name, out, san } => {
            let options = CertificateOptions {
                sans: san,
                ..CertificateOptions::default()
            };
            let out = CertsDir::new(out);
            if dir.ca_key().exists() && is_peer_name(&name) {
                Asked::known_peers(context).await.check_free(&name).await?;
            }
            let identity = ca::issue(&dir, &name, &out, &options)?;
            made(context, &identity, &out);
            context.output.talk("next: carry that folder to the other machine as the certs/ of its home; it holds its keys");
        }
        CertsCommand::Import { folder } => {
            let from = CertsDir::new(folder);
            let identity = tls::import(&from, &dir).map_err(|error| match error {
                TlsError::Missing { .. } => Failure::new(ExitCode::Config, error)
                    .hint("name the whole folder that `colis certs issue` made"),
                other => other.into(),
            })?;
            made(context, &identity, &dir);
            context.output.talk(format!(
                "copied; {} holds this machine's keys too and can be deleted",
                from.path().display()
            ));
        }
        CertsCommand::Show => show(context, &dir)?,
        CertsCommand::Revoke { name } => revoke(context, &dir, &name).await?,
        CertsCommand::RenewCircle => renew::circle(context, &dir)?,
        CertsCommand::Renew { from, script } => {
            let which = match script {
                true => Renewed::Script,
                false => Renewed::Peer,
            };
            renew::run(context, &dir, from.as_deref(), which).await?;
        }
    }
    Ok(ExitCode::Ok)
}

fn made(context: &Context, identity: &Identity, dir: &CertsDir) {
    let (name, id, path) = (identity.name(), identity.peer_id(), dir.path().display());
    context.output.line(format!("{name}  {id}  {path}"));
    made_object(context, identity, dir);
}

pub(super) fn made_object(context: &Context, identity: &Identity, dir: &CertsDir) {
    let folder = PathText(dir.path());
    let (name, id) = (identity.name(), identity.peer_id());
    let made = json!({"name": name, "peer_id": id, "folder": folder});
    context.output.object("made", &made);
}

fn show(context: &Context, dir: &CertsDir) -> Result<(), Failure> {
    let identity = Identity::load(dir)?;
    let caller = identity.caller();
    let (name, id, until) = (&caller.name, caller.key_id, caller.not_after);
    context
        .output
        .line(format!("this peer: {name}  {id}  valid until {until}"));
    context.output.object(
        "identity",
        &json!({"name": name, "peer_id": id, "not_after": until}),
    );
    if until < Timestamp::now().plus_seconds(WARN_SECONDS) {
        context
            .output
            .warn("its certificate ends soon; renew it: colis certs renew");
    }
    let circle = tls::Circle::load(dir)?;
    if circle
        .crl_next_update()
        .is_some_and(|next| next < Timestamp::now())
    {
        context
            .output
            .warn("the revocation list is past its date; it still applies");
    }
    for (issued, revoked) in if dir.ca_key().exists() {
        ca::list(dir)?
    } else {
        Vec::new()
    } {
        let (name, purpose) = (
            Escaped::new(&issued.name),
            format!("{:?}", issued.purpose).to_lowercase(),
        );
        let mark = if revoked { "  revoked" } else { "" };
        context.output.line(format!(
            "issued: {name}  {purpose}  {}  valid until {}{mark}",
            issued.peer_id, issued.not_after
        ));
        let object = json!({"name": issued.name, "purpose": purpose, "peer_id": issued.peer_id,
            "not_after": issued.not_after, "revoked": revoked});
        context.output.object("issued", &object);
    }
    Ok(())
}

async fn revoke(context: &Context, dir: &CertsDir, name: &str) -> Result<(), Failure> {
    if dir.ca_key().exists() {
        Asked::known_peers(context).await;
    }
    let revoked = match ca::revoke(dir, name) {
        Err(TlsError::NeverIssued { .. }) if Path::new(name).is_file() => {
            let pem = fs::read(name).map_err(|e| Failure::io(Path::new(name), &e))?;
            ca::revoke_certificate(dir, &pem)?
        }
        revoked => revoked?,
    };
    let (peers, count) = (&revoked.peers, revoked.certificates);
    let mut line = format!("revoked {count} certificates of {name}");
    if peers.len() > 1 {
        let ids: Vec<_> = peers.iter().map(ToString::to_string).collect();
        line += &format!(": {} peers had that name: {}", ids.len(), ids.join(", "));
    }
    context.output.line(line);
    let object = json!({"name": name, "peer_ids": peers, "certificates": count});
    context.output.object("revoked", &object);
    context.output.talk(
        "a peer serving this home acts on it within a second, and others once they meet one that knows: within minutes, if they serve",
    );
    Ok(())
}
