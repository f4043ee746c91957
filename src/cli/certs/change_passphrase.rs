//! `certs passphrase`: what it means is said before it is set, and it is typed twice.

use crate::{
    cli::{
        Context,
        args::PassphraseCommand,
        passphrase::check_private,
        password::{OF_KEYS_ANEW, Purpose},
        report::Failure,
    },
    session::{
        Event,
        certs::{self, ChangedPassphrase},
    },
};

/// Said before it is set.
const LOST_MEANS_LOST: &str = "\
If this passphrase is lost, the keys are: nobody can tell it, and nothing opens them without it. This machine would have to join again
as another peer, and what was sealed for it would stay closed; on the machine that made the circle, nobody could join any more, be
renewed or be revoked. Keep it where you find it again, apart from this machine.";

pub(super) async fn run(context: &Context, command: PassphraseCommand) -> Result<(), Failure> {
    certs::check_not_served(&context.home)?;
    let PassphraseCommand::Set { new_file } = command else {
        context.tell(&Event::Passphrase(certs::remove_passphrase(&context.home)?));
        return Ok(());
    };
    context.output.talk(LOST_MEANS_LOST);
    let new = match &new_file {
        Some(file) => {
            check_private(file)?;
            OF_KEYS_ANEW.given(Some(file), None, Purpose::Seal)
        }
        None => None,
    };
    let new = match new {
        Some(new) => new?,
        None => OF_KEYS_ANEW.ask(Purpose::Seal).await?,
    };
    let changed = certs::set_passphrase(&context.home, &new)?;
    context.tell(&Event::Passphrase(changed.clone()));
    advise(context, &changed);
    Ok(())
}

/// What it does not cover, and who has to be told.
fn advise(context: &Context, changed: &ChangedPassphrase) {
    if changed.scripts {
        let name = &changed.name;
        let none = context.command(&format!("peers role {name} none --script"));
        context.output.talk(format!(
            "client-key.pem is as it was, for curl reads it: if no script uses it, let it do nothing here: {none}"
        ));
    }
    let install = context.command("--key-passphrase-file FILE serve --install");
    context.output.talk(format!(
        "a service needs it too, and ends with 9 without it: {install}"
    ));
}
