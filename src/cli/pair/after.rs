//! What comes after two machines have paired: they serve, and the first file is sent.

use std::io;

use super::until_interrupted;
use crate::{
    cli::{
        Context,
        args::{Pair, Serve},
        logging::LateFile,
        output,
        report::{ExitCode, Failure},
        serve, terminal,
    },
    store::LocalStore,
};

/// Serves if that is wanted, and says what is to be typed next, so that it works when it is typed.
pub(super) async fn run(
    context: &Context,
    args: &Pair,
    other: &str,
    log: &LateFile,
) -> Result<ExitCode, Failure> {
    let output = context.output;
    let send = context.command(&format!("send FILE --to {other}"));
    if let Some(address) = LocalStore::serving_address(&context.home.chunks()) {
        output.talk(format!(
            "this machine serves on {address} already; once {other} serves too, next: {send}"
        ));
        return Ok(ExitCode::Ok);
    }
    let may_ask = terminal::is_there() && !output.json;
    let serves = args.serve || (may_ask && ask().await?);
    if !serves {
        let serve = context.command("serve");
        output.talk(format!(
            "next: {serve}, here and on {other}; then, in another terminal: {send}"
        ));
        return Ok(ExitCode::Ok);
    }
    output.talk(format!(
        "once {other} serves too, next, in another terminal: {send}"
    ));
    let spooled = output::spool(output.json);
    spooled.map_err(|e| Failure::new(ExitCode::Storage, format!("cannot serve: {e}")))?;
    serve::run_with(context, &Serve::default(), log).await
}

/// Whether the person wants to serve now. The end of the input is a no.
async fn ask() -> Result<bool, Failure> {
    let asking = async {
        let asked = tokio::task::spawn_blocking(|| terminal::ask_yes("Serve now?")).await;
        match asked.map_err(|e| Failure::new(ExitCode::Storage, e))? {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(Failure::new(
                ExitCode::Interrupted,
                "interrupted; the two machines are paired",
            )),
            answered => Ok(answered.unwrap_or(false)),
        }
    };
    until_interrupted(asking, "interrupted; the two machines are paired").await
}
