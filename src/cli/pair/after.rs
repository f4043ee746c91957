//! What comes after two machines have paired: they serve, and the first file is sent.

use std::io;

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
        // It is reached so from here; it may listen on every address.
        let port = address.rsplit(':').next().unwrap_or_default();
        output.talk(format!(
            "this machine serves on port {port} already; next, while {other} serves too: {send}"
        ));
        return Ok(ExitCode::Ok);
    }
    let may_ask = terminal::is_there() && !output.json;
    let serve = context.command(&match args.listen {
        Some(listen) => format!("serve --listen {listen}"),
        None => "serve".to_owned(),
    });
    let serves = args.serve || (may_ask && ask(&serve).await?);
    if !serves {
        output.talk(format!(
            "next: {serve}, here and on {other}; then, in another terminal: {send}"
        ));
        return Ok(ExitCode::Ok);
    }
    output.talk(format!(
        "while {other} serves too, next, in another terminal: {send}"
    ));
    let spooled = output::spool(output.json);
    spooled.map_err(|e| Failure::new(ExitCode::Storage, format!("cannot serve: {e}")))?;
    let serve = Serve {
        listen: args.listen,
        ..Serve::default()
    };
    serve::run_with(context, &serve, log).await
}

/// Whether the person wants to serve now. The end of the input is a no.
async fn ask(serve: &str) -> Result<bool, Failure> {
    let ask = || match terminal::ask_yes("Serve now?", true) {
        Err(error) if error.kind() != io::ErrorKind::Interrupted => Ok(false),
        answered => answered,
    };
    let asked = terminal::asked("answer", "interrupted; the two machines are paired", ask).await;
    // The pairing is done: the same command again would be refused.
    asked.map_err(|failure| failure.hint(format!("next: {serve}")))
}
