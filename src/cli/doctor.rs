//! `doctor`: which step fails, on this machine and on the way to a peer, and what to do.

use std::sync::Arc;

use super::{
    Context,
    args::Doctor,
    report::{ExitCode, Failure},
    serve::raise_descriptor_limit,
};
use crate::{
    doctor::{self, DoctorRequest},
    session::{Event, Finding},
};

pub(super) async fn run(context: &Context, args: Doctor) -> Result<ExitCode, Failure> {
    // As `serve` does; the store keeps some hundred folders open.
    raise_descriptor_limit();
    let mut request = DoctorRequest::default();
    (request.peer, request.listen) = (args.peer, args.listen);
    let tell = |finding: Finding| context.tell(&Event::Finding(with_hint(finding)));
    let summary = doctor::examine(&context.home, &context.config, &request, tell).await;
    let code = summary.kind.map_or(ExitCode::Ok, ExitCode::from);
    context.tell(&Event::Summary(summary));
    Ok(code)
}

/// With what a command would say that fails in this way.
fn with_hint(mut finding: Finding) -> Finding {
    if finding.hint.is_none()
        && let Some(cause) = finding.cause.take().and_then(Arc::into_inner)
    {
        let (_, _, hint) = Failure::from(cause).into_parts();
        finding.hint = Some(hint.unwrap_or_else(|| "see docs/doctor.md".to_owned()));
    }
    finding
}
