//! `list`: transfers or chunks, ours or a peer's.

use super::{
    Context,
    args::List,
    report::{ExitCode, Failure},
    show::table::{Cell, Listing, Row},
};
use crate::{
    config::units::{Size, count},
    name::Escaped,
    session::{Event, TransferRow},
    store::ChunkInfo,
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

/// A transfer, in a row of a list.
pub(super) fn row(row: &TransferRow) -> Row {
    Row(vec![
        Cell::Id(row.info.id.to_string()),
        Cell::Time(row.info.created),
        Cell::Number(Size(row.info.size).to_string()),
        Cell::Word(format!("{:?}", row.state).to_lowercase()),
        Cell::Names(format!("from {}", row.from)),
        Cell::Names(contents(row)),
    ])
}

/// A chunk, in a row of a list.
pub(super) fn chunk(chunk: &ChunkInfo) -> Row {
    let (id, length) = (chunk.id.to_string(), chunk.length.to_string());
    Row(vec![Cell::Id(id), Cell::Number(length)])
}

pub(super) async fn run(context: &Context, args: &List) -> Result<ExitCode, Failure> {
    let session = context.session()?;
    let store = session.store_to_read(args.peer.as_deref()).await?;
    let listing = Listing::open(context.output);
    if args.chunks {
        let listed = session.list_chunks(&*store).await?;
        let chunks = count(listed.chunks, "chunk", "chunks");
        listing.close_under(format!("{chunks}, {}", Size(listed.bytes)));
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
    listing.close();
    Ok(ExitCode::Ok)
}
