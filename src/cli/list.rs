//! `list`: transfers or chunks, ours or a peer's.

use super::{
    Context,
    args::List,
    report::{ExitCode, Failure},
    show::{
        self,
        table::{Cell, Listing, Row},
    },
};
use crate::{
    config::units::{Size, count},
    name::Escaped,
    session::{Event, Mark, Session, TransferRow},
    store::ChunkInfo,
};

/// Why there may be none.
const NO_CHUNKS: &str = "no chunks: what was opened for this peer alone does not stay sealed (keep_opened), and what is sent from here is \
     kept only with --keep";

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

/// Whom it is for, if it was sent from here to others; else who sent it.
pub(super) fn whom(row: &TransferRow) -> String {
    match row.to.is_empty() {
        true => format!("from {}", row.from),
        false => format!("to {}", Escaped::new(&row.to.join(", "))),
    }
}

/// A transfer, in a row of a list.
pub(super) fn row(row: &TransferRow) -> Row {
    Row(vec![
        Cell::Id(row.info.id.to_string()),
        Cell::Time(row.info.created),
        Cell::Number(Size(row.info.size).to_string()),
        Cell::Word(format!("{:?}", row.state).to_lowercase()),
        Cell::Word(mark(row).to_owned()),
        Cell::Names(whom(row)),
        Cell::Names(contents(row)),
    ])
}

/// A chunk, in a row of a list.
pub(super) fn chunk(chunk: &ChunkInfo) -> Row {
    let (id, length) = (chunk.id.to_string(), chunk.length.to_string());
    Row(vec![Cell::Id(id), Cell::Number(length)])
}

/// What is arriving here, and what was to be sent and is not finished. Returns whether there is any.
async fn on_the_way(context: &Context, session: &Session) -> Result<bool, Failure> {
    let arriving = session.arriving_now().await;
    let unfinished = session.unfinished().await?;
    let has_some = !arriving.is_empty() || !unfinished.is_empty();
    for one in arriving {
        session.tell(Event::Arriving(one));
    }
    for one in unfinished {
        context
            .output
            .line(format!("unfinished: {}", show::send::unfinished(&one)));
        context.output.event(&Event::Unfinished(Box::new(one)));
    }
    Ok(has_some)
}

pub(super) async fn run(context: &Context, args: &List) -> Result<ExitCode, Failure> {
    let session = context.session()?;
    let store = session.store_to_read(args.peer.as_deref()).await?;
    let listing = Listing::open(context.output);
    if args.chunks {
        let listed = session.list_chunks(&*store).await?;
        if listed.chunks == 0 {
            context.output.talk(match args.peer {
                Some(_) => "no chunks there that we may see",
                None => NO_CHUNKS,
            });
        }
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
    if args.peer.is_none() {
        has_some |= on_the_way(context, &session).await?;
    }
    if !has_some {
        context.output.talk("no transfers");
    }
    listing.close();
    Ok(ExitCode::Ok)
}
