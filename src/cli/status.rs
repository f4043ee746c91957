//! `status`: what this peer is, has and knows.

use super::{
    Context,
    args::Status as Args,
    report::{ExitCode, Failure},
};
use crate::session::{Event, StatusRequest};

pub(super) async fn run(context: &Context, args: &Args) -> Result<ExitCode, Failure> {
    let must_be_served = args.serving;
    let request = StatusRequest { must_be_served };
    let status = context.session()?.status(request).await?;
    let code = match status.needs_care() {
        true => ExitCode::Care,
        false => ExitCode::Ok,
    };
    context.tell(&Event::Status(Box::new(status)));
    Ok(code)
}
