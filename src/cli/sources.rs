//! What `send` and `share` take: paths, standard input or a message; and what a dry run says of them.

use std::{
    fs::{self, File, Metadata},
    io::{self, Cursor, Read as _, Seek as _},
    os::{
        fd::AsFd as _,
        unix::fs::{FileTypeExt as _, MetadataExt as _},
    },
    path::Path,
};

use rustix::fs::{OFlags, fcntl_getfl};
use serde_json::json;

use super::{
    args::Seal,
    home::Home,
    output::{Output, count},
    report::{ExitCode, Failure},
};
use crate::{
    config::units::Size,
    manifest::{MAX_CHUNK_SIZE, MAX_CHUNKS, table::Entry},
    name::{self, Escaped, PathText, RelPath},
    transfer::{
        Filter, Keys, LeftOut, MAX_MESSAGE, MESSAGE_NAME, SendOptions, Sources, TransferError,
    },
};

impl Seal {
    /// Walks the paths, or takes standard input for `-`, or the message.
    pub(super) fn sources(&self, home: &Home) -> Result<Sources, Failure> {
        if let Some(text) = &self.text {
            return message(text);
        }
        let is_stdin = |path: &Path| path.as_os_str() == "-";
        if !self.paths.iter().any(|path| is_stdin(path)) {
            let filter = Filter {
                exclude: self.exclude.clone(),
                git: self.git,
                own_folders: home.own_folders(),
                keys: if self.with_keys {
                    Keys::Send
                } else {
                    Keys::LeaveOut
                },
            };
            let walked = Sources::walk_filtered(&self.paths, &filter);
            return walked.map_err(|error| self.explain(error));
        }
        if self.paths.len() > 1 {
            return Err(
                Failure::usage("standard input cannot be sent together with files")
                    .hint("send them one after the other"),
            );
        }
        if self.name.contains('/') || self.name.is_empty() {
            let failure = Failure::usage("--name is a file name, without a folder");
            return Err(failure.hint("for instance --name dump.sql"));
        }
        Ok(Sources::Stream {
            name: self.name.clone(),
            expected: rest_of_stdin()?,
            reader: Box::new(io::stdin()),
        })
    }

    /// In `--password SECRET` the secret is taken for a path.
    fn explain(&self, error: TransferError) -> Failure {
        let missing = matches!(&error, TransferError::Source { source, .. } if source.kind() == io::ErrorKind::NotFound);
        let failure = Failure::from(error);
        if missing && self.password {
            return failure.hint("a password is never on the command line: --password-file FILE");
        }
        failure
    }
}

/// How many bytes standard input still has, if it is a file.
fn rest_of_stdin() -> Result<Option<u64>, Failure> {
    let failed = |e| Failure::io(Path::new("standard input"), &e);
    let stdin = io::stdin().as_fd().try_clone_to_owned().map_err(failed)?;
    let mut stdin = File::from(stdin);
    let metadata = stdin.metadata().map_err(failed)?;
    if metadata.is_dir() {
        return Err(Failure::usage("standard input is a folder")
            .hint("name the folder in the place of `-`"));
    }
    if is_stand_in(&stdin, &metadata) {
        return Err(Failure::usage("standard input is closed")
            .hint("to send an empty file: colis send - --name NAME --to PEER </dev/null"));
    }
    let position = stdin.stream_position().unwrap_or(0);
    let rest = metadata.len().saturating_sub(position);
    Ok(metadata.is_file().then_some(rest))
}

/// Whether this is what a program has in the place of a standard input that is closed: `/dev/null`, open for writing too.
fn is_stand_in(stdin: &File, metadata: &Metadata) -> bool {
    let null = fs::metadata("/dev/null").map(|null| null.rdev());
    let is_null =
        metadata.file_type().is_char_device() && null.is_ok_and(|null| null == metadata.rdev());
    let flags = fcntl_getfl(stdin);
    is_null && flags.is_ok_and(|flags| flags & OFlags::RWMODE == OFlags::RDWR)
}

/// Says how much a stream may have whose end nobody knows: it would be found out at its end.
pub(super) fn say_limit(output: Output, sources: &Sources, options: &SendOptions) {
    if sources.expected_size().is_some() {
        return;
    }
    let most = |chunk_size: u32| Size(u64::from(chunk_size) * MAX_CHUNKS as u64);
    let limit = most(options.chunk_size);
    let more = match options.chunk_size < MAX_CHUNK_SIZE {
        true => format!("; --chunk-size 64MiB for up to {}", most(MAX_CHUNK_SIZE)),
        false => String::new(),
    };
    output.talk(format!("standard input may have up to {limit}{more}"));
}

/// Lists what would be sent.
pub(super) fn say_what(output: Output, sources: &Sources, options: &SendOptions, to: &str) {
    say_left_out(output, sources);
    say_limit(output, sources, options);
    let Sources::Tree(tree) = sources else {
        let object = json!({"to": to, "bytes": null, "entries": 1, "chunks": null});
        output.object("would-send", &object);
        return output.line(format!("would send a stream of unknown length {to}"));
    };
    for entry in &tree.entries {
        show(output, entry);
    }
    let (bytes, entries) = (tree.size, tree.entries.len());
    let chunks = bytes.div_ceil(u64::from(options.chunk_size));
    output.object(
        "would-send",
        &json!({"to": to, "bytes": bytes, "entries": entries, "chunks": chunks}),
    );
    let size = Size(bytes);
    output.line(format!(
        "would send {}, {size} in {} {to}",
        count(entries as u64, "entry", "entries"),
        count(chunks, "chunk", "chunks")
    ));
}

/// Says what is not sent of what was named.
pub(super) fn say_left_out(output: Output, sources: &Sources) {
    let Sources::Tree(tree) = sources else {
        return;
    };
    say_each_left_out(output, &tree.left_out);
    for (path, name) in &tree.renamed {
        let text = path.to_string_lossy();
        let (shown, called) = (Escaped::new(&text), Escaped::new(name));
        output.warn(format!(
            "{shown} is sent as {called}: its name is no UTF-8, and another entry is called so"
        ));
        output.object("renamed", &json!({"path": PathText(path), "name": name}));
    }
    for link in tree.entries.iter().filter(|entry| leads_out(entry)) {
        let reason = "a link that leads out of its folder: no recipient makes it";
        output.warn(format!("{}: {reason}", Escaped::new(link.path())));
        let object = json!({"path": link.path(), "reason": reason});
        output.object("left-out", &object);
    }
    if tree.filtered > 0 {
        let count = tree.filtered;
        output.talk(format!("left out {count} by --exclude or --git"));
    }
}

/// Whether it is a link that a recipient leaves out.
fn leads_out(entry: &Entry) -> bool {
    let Entry::Symlink { path, target } = entry else {
        return false;
    };
    RelPath::parse(path).is_ok_and(|path| name::check_link(&path, target).is_err())
}

/// Says what is not sent, and why.
pub(super) fn say_each_left_out(output: Output, left_out: &[LeftOut]) {
    for LeftOut { path, why } in left_out {
        let (path, why) = (path.to_string_lossy(), why.to_string());
        let (shown, reason) = (Escaped::new(&path), Escaped::new(&why));
        output.warn(format!("skipped {shown}: {reason}"));
        output.object("left-out", &json!({"path": path, "reason": why}));
    }
}

/// How a command ends that did all it could: not all that was named may have been sent.
pub(super) fn code_for<'a>(left_out: impl IntoIterator<Item = &'a LeftOut>) -> ExitCode {
    match left_out.into_iter().any(|left| left.why.is_missed()) {
        true => ExitCode::Partial,
        false => ExitCode::Ok,
    }
}

/// An entry of a table, for people or programs. Its names may be foreign.
pub(super) fn show(output: Output, entry: &Entry) {
    output.object("entry", entry);
    let path = Escaped::new(entry.path());
    output.line(match entry {
        Entry::File { size, .. } => {
            let size = size.map_or("?".to_owned(), |size| Size(size).to_string());
            format!("  {size:>10}  {path}")
        }
        Entry::Directory { .. } => format!("  {:>10}  {path}/", ""),
        Entry::Symlink { target, .. } => {
            format!("  {:>10}  {path} -> {}", "", Escaped::new(target))
        }
    });
}

fn message(text: &str) -> Result<Sources, Failure> {
    let text = if text == "-" {
        let mut read = String::new();
        let most = io::stdin().take(MAX_MESSAGE + 1).read_to_string(&mut read);
        most.map_err(|e| Failure::usage(format!("the message cannot be read: {e}")))?;
        read
    } else {
        text.to_owned()
    };
    if text.is_empty() || text.len() as u64 > MAX_MESSAGE {
        let failure = Failure::usage(format!("a message has 1 to {MAX_MESSAGE} bytes"));
        return Err(failure.hint("send longer text as a file: colis send - --name notes.txt"));
    }
    Ok(Sources::Stream {
        name: MESSAGE_NAME.to_owned(),
        expected: Some(text.len() as u64),
        reader: Box::new(Cursor::new(text)),
    })
}
