//! `list`: transfers or chunks, ours or a peer's.

use super::{
    Context,
    args::List,
    report::{ExitCode, Failure},
};
use crate::{
    config::units::Size,
    name::Escaped,
    session::{Event, Mark, TransferRow},
};

/// What is in a transfer, fit for a terminal.
pub(super) fn contents(row: &TransferRow) -> String {
    match &row.names {
        Some(names) => {
            let names = names.iter().map(|name| Escaped::new(name).to_string());
            let more = row.more_names.then(|| "…".to_owned());
            names.chain(more).collect::<Vec<_>>().join(", ")
        }
        None if row.from.blocked => "(its sender is blocked here)".to_owned(),
        None if row.info.password => "(locked by a password)".to_owned(),
        None if row.is_for_us => "(cannot be opened)".to_owned(),
        None => "(sealed for others)".to_owned(),
    }
}

/// What a transfer is to this home.
pub(super) fn mark(row: &TransferRow) -> &'static str {
    row.mark.map_or("-", Mark::word)
}

/// A transfer, in a line of a list.
pub(super) fn line(row: &TransferRow) -> String {
    let state = format!("{:?}", row.state).to_lowercase();
    let (id, created, size) = (row.info.id, row.info.created, Size(row.info.size));
    let (size, from) = (size.to_string(), &row.from);
    format!(
        "{id}  {created}  {size:>9}  {state:<7}  {:<7}  from {from}  {}",
        mark(row),
        contents(row)
    )
}

pub(super) async fn run(context: &Context, args: &List) -> Result<ExitCode, Failure> {
    let session = context.session()?;
    let store = session.store_to_read(args.peer.as_deref()).await?;
    if args.chunks {
        session.list_chunks(&*store).await?;
        return Ok(ExitCode::Ok);
    }
    let mut has_some = false;
    let show = |row| {
        has_some = true;
        session.tell(Event::Transfer(Box::new(row)));
    };
    session.list_each(&*store, show).await?;
    if !has_some {
        context.output.talk("no transfers");
    }
    Ok(ExitCode::Ok)
}
