//! `check` and `gc`: the local store, and what a peer stores for us.

use super::{
    Context,
    args::{Check, Gc},
    report::{ExitCode, Failure},
};
use crate::session::{CheckRequest, CustodyRequest, Event, check_store, collect_garbage};

pub(super) async fn check(context: &Context, args: Check) -> Result<ExitCode, Failure> {
    if let (Some(peer), Some(transfer)) = (args.peer, args.transfer) {
        let mut request = CustodyRequest::of(peer, transfer);
        (request.sample, request.repair) = (args.sample, args.repair);
        return custody(context, &request).await;
    }
    let mut request = CheckRequest::default();
    (request.read_data, request.new_store) = (args.read_data, args.new_store);
    let reporter = |event: &Event| context.tell(event);
    let checked = check_store(&context.home, &context.config, request, &reporter).await?;
    let is_whole = checked.report.problems.is_empty();
    context.tell(&Event::Check(checked));
    Ok(match is_whole {
        true => ExitCode::Ok,
        false => ExitCode::Integrity,
    })
}

async fn custody(context: &Context, request: &CustodyRequest) -> Result<ExitCode, Failure> {
    let found = context.session()?.check_custody(request).await?;
    let code = match (found.is_kept(), found.not_compared.is_empty()) {
        (false, _) => ExitCode::Integrity,
        (true, true) => ExitCode::Ok,
        (true, false) => ExitCode::Partial,
    };
    context.tell(&Event::Custody(found));
    Ok(code)
}

pub(super) async fn gc(context: &Context, args: Gc) -> Result<ExitCode, Failure> {
    let collected = collect_garbage(&context.home, &context.config, args.unfinished).await?;
    context.tell(&Event::Gc(collected));
    Ok(ExitCode::Ok)
}
