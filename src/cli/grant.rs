//! `grant`: others may open a transfer that was sent before.

use super::{
    Context,
    args::Grant,
    report::{ExitCode, Failure},
};
use crate::session::{Event, GrantRequest};

pub(super) async fn run(context: &Context, args: Grant) -> Result<ExitCode, Failure> {
    let mut request = GrantRequest::of(args.which, args.to);
    request.at = args.at;
    let granted = context.session()?.grant(&request).await?;
    let complete = granted.complete;
    context.tell(&Event::Granted(granted));
    Ok(match complete {
        true => ExitCode::Ok,
        false => ExitCode::Partial,
    })
}
