//! `certs`: the circle and its certificates.

mod change_passphrase;
mod leave;
mod revoke;

use std::{path::PathBuf, sync::Arc};

use super::{
    Context,
    args::{Certs, CertsCommand, Outside},
    passphrase,
    report::{ExitCode, Failure},
    show::table::Listing,
};
use crate::{
    manifest::Timestamp,
    session::{
        Event, Reporter,
        certs::{self, ImportedOutside, IssueRequest, RenewRequest},
        pair::peer_name,
    },
    tls::{CertsDir, OutsideFiles, Renewed, Scope},
};

/// A certificate that ends within a third of its year is worth a word.
const WARN_SECONDS: u64 = 120 * 24 * 3600;

pub(super) async fn run(context: &Context, args: Certs) -> Result<ExitCode, Failure> {
    let (home, config, output) = (&context.home, &context.config, context.output);
    let reporter: Arc<dyn Reporter> = context.screen();
    match args.command {
        CertsCommand::Init { name, san } => {
            let name = peer_name(&name, &*reporter)?;
            context.tell(&Event::Made(certs::init(home, &name, san)?));
            output.talk("next: let another machine join by a code: colis pair; or make a folder for it: colis certs issue NAME --out DIR");
        }
        CertsCommand::Issue { name, out, san } => {
            let name = peer_name(&name, &*reporter)?;
            let mut request = IssueRequest::new(name, out);
            request.sans = san;
            let made = certs::issue(home, config, &reporter, &request).await?;
            context.tell(&Event::Made(made));
            output.talk("next: carry that folder to the other machine as the certs/ of its home; it holds its keys");
        }
        CertsCommand::Import { folder, outside } => import(context, folder, outside).await?,
        CertsCommand::Show => show(context)?,
        CertsCommand::Revoke { name, yes } => {
            if !yes && !revoke::confirmed(home, &name).await? {
                output.talk("nothing was changed");
                return Ok(ExitCode::Ok);
            }
            let revoked = certs::revoke(home, config, &reporter, &name).await?;
            context.tell(&Event::Revoked(revoked));
        }
        CertsCommand::Passphrase(command) => change_passphrase::run(context, command).await?,
        CertsCommand::Leave { end_circle, yes } => leave::run(context, end_circle, yes).await?,
        CertsCommand::RenewCircle => context.tell(&Event::Renewed(certs::renew_circle(home)?)),
        CertsCommand::Renew { from, script } => {
            let mut request = RenewRequest::of(match script {
                true => Renewed::Script,
                false => Renewed::Peer,
            });
            request.from = from;
            let renewed = certs::renew(home, config, &reporter, &request).await?;
            context.tell(&Event::Renewed(renewed));
        }
    }
    Ok(ExitCode::Ok)
}

/// Takes over a folder, or files of an outside authority.
async fn import(
    context: &Context,
    folder: Option<PathBuf>,
    outside: Outside,
) -> Result<(), Failure> {
    let (home, config, output) = (&context.home, &context.config, context.output);
    if let Some(folder) = folder {
        let from = CertsDir::new(&folder);
        passphrase::open_keys_in(context, &from, Some(Scope::Peer)).await?;
        context.tell(&Event::Made(certs::import(home, &folder)?));
        output.talk(format!(
            "copied; {} holds this machine's keys too and can be deleted",
            folder.display()
        ));
        return Ok(());
    }
    let Outside { ca, cert, key, crl } = outside;
    let files = OutsideFiles { ca, cert, key, crl };
    match certs::import_outside(home, config, &files)? {
        ImportedOutside::Made(made) => {
            context.tell(&Event::Made(made));
            output.talk(
                "copied; next, who is a member: colis peers allow ID, or ids and DNS names in allowed of [tls] in colis.toml",
            );
        }
        ImportedOutside::Renewed(renewed) => context.tell(&Event::Renewed(renewed)),
        ImportedOutside::Replaced => {
            let circle = certs::circle(home)?;
            context.tell(&Event::Circle {
                not_after: circle.not_after,
            });
        }
    }
    Ok(())
}

fn show(context: &Context) -> Result<(), Failure> {
    let (own, now) = (certs::own(&context.home)?, Timestamp::now());
    let until = own.not_after;
    context.tell(&Event::Identity(own));
    if until < now.plus_seconds(WARN_SECONDS) {
        context
            .output
            .warn("its certificate ends soon; renew it: colis certs renew");
    }
    let circle = certs::circle(&context.home)?;
    context.tell(&Event::Circle {
        not_after: circle.not_after,
    });
    if circle.next_list.is_some_and(|next| next < now) {
        context
            .output
            .warn("the revocation list is past its date; it still applies");
    }
    let listing = Listing::open(context.output);
    for issued in circle.issued {
        context.tell(&Event::Issued(issued));
    }
    listing.close();
    Ok(())
}
