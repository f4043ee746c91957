//! What is said of transfers that are deleted.

use super::{brief, store};
use crate::{
    cli::{
        list::{contents, whom},
        output::Output,
    },
    config::units::{Size, count},
    name::Escaped,
    session::{DeletedTransfer, Event},
};

/// Says the events of deleting.
pub(super) fn say(output: Output, event: &Event) {
    match event {
        Event::Deleted(deleted) => output.line(line(deleted, "deleted")),
        Event::WouldDelete(deleted) => output.line(line(deleted, "would be deleted")),
        _ => store::say(output, event),
    }
}

/// What would go, before it is asked.
pub(in crate::cli) fn meaning(deleted: &DeletedTransfer) -> String {
    line(deleted, "goes")
}

fn line(deleted: &DeletedTransfer, what: &str) -> String {
    let (id, size) = (brief::id(deleted.row.info.id), Size(deleted.row.info.size));
    let at = deleted.at.as_deref().map(Escaped::new);
    let from = match &at {
        Some(at) => format!(" at {at}"),
        None => String::new(),
    };
    let mut line = format!(
        "{id}  {what}{from}: {}, {size}, {}",
        contents(&deleted.row),
        whom(&deleted.row)
    );
    if let Some(freed) = &deleted.freed {
        let chunks = count(freed.chunks, "chunk", "chunks");
        let bytes = Size(freed.bytes);
        line += &format!("; frees {chunks} ({bytes}), on disk within two hours");
        if freed.shared_chunks > 0 {
            let (chunks, bytes) = (
                count(freed.shared_chunks, "chunk", "chunks"),
                Size(freed.shared_bytes),
            );
            line += &format!("; {chunks} ({bytes}) stay, for another transfer needs them");
        }
    }
    if let Some(opened) = deleted.opened {
        let opened = brief::time(opened);
        line += &match at {
            Some(at) => format!("; {at} opened it {opened}: the files there stay"),
            None => format!("; it was opened {opened}: the files stay"),
        };
    }
    line
}
