//! `delete`: what goes is said, and then it is asked.

use std::io::{self, IsTerminal as _};

use super::{
    Context,
    args::Delete,
    report::{ExitCode, Failure},
    show, terminal,
};
use crate::session::DeleteRequest;

const NOTHING: &str = "interrupted; nothing was deleted";

pub(super) async fn run(context: &Context, args: Delete) -> Result<ExitCode, Failure> {
    let mut request = DeleteRequest::of(args.which);
    (request.at, request.dry_run) = (args.at, args.dry_run);
    let session = context.session()?;
    if !request.dry_run && !args.yes {
        if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
            let failure = Failure::usage("nothing was deleted: this is asked on a terminal");
            return Err(failure.hint("say yes: --yes; or only look: --dry-run"));
        }
        let meant = session.deletable(&request).await?;
        for one in &meant {
            context.output.talk(show::delete::meaning(one));
        }
        let prompt = match meant.len() {
            1 => "Delete it?",
            _ => "Delete them?",
        };
        let ask = move || terminal::ask_no(prompt);
        if !terminal::asked("answer", NOTHING, ask).await? {
            context.output.talk("nothing was deleted");
            return Ok(ExitCode::Ok);
        }
        // What was shown, and no other that has come since.
        let ids = meant.iter().map(|one| one.row.info.id.to_string());
        request.which = ids.collect();
    }
    session.delete(&request).await?;
    Ok(ExitCode::Ok)
}
