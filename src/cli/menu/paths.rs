//! Paths as people type, paste and drop them on a terminal.
//!
//! What a terminal writes when files are dropped on it differs: quotes, backslashes, `file://` addresses, a space at the
//! end. A line is read as a shell reads words, without variables or patterns.

use std::{
    ffi::OsString,
    fs,
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::{Path, PathBuf},
};

use dialoguer::Completion;

/// A word of a line: where it begins, and what it means.
#[derive(Debug, PartialEq, Eq)]
struct Word {
    start: usize,
    text: String,
    /// Whether `~` at its beginning was written as such.
    tilde: bool,
}

/// The paths of a line. One that is there as it was typed is meant so, whatever it contains.
///
/// # Errors
/// What is wrong, for the person.
pub(super) fn parse(line: &str, home: Option<&Path>) -> Result<Vec<PathBuf>, String> {
    let typed = Path::new(line.trim());
    if !line.trim().is_empty() && typed.symlink_metadata().is_ok() {
        return Ok(vec![typed.to_owned()]);
    }
    let (words, open) = split(line);
    if let Some(quote) = open {
        return Err(format!("{quote} is not closed"));
    }
    let paths: Vec<_> = words.iter().map(|word| word.path(home)).collect();
    let missing = paths.iter().find(|path| path.symlink_metadata().is_err());
    match missing {
        Some(path) => Err(format!("{}: not found", path.display())),
        None => Ok(paths),
    }
}

/// The one path of a line, which need not be there.
///
/// # Errors
/// What is wrong, for the person.
pub(super) fn one(line: &str, home: Option<&Path>) -> Result<PathBuf, String> {
    match split(line) {
        (_, Some(quote)) => Err(format!("{quote} is not closed")),
        (words, None) => match words.as_slice() {
            [word] => Ok(word.path(home)),
            words => Err(format!("{} paths, where one is needed", words.len())),
        },
    }
}

impl Word {
    fn path(&self, home: Option<&Path>) -> PathBuf {
        if let Some(rest) = self.text.strip_prefix("file://") {
            // An empty authority, or this machine's.
            let path = rest.find('/').map_or("", |slash| &rest[slash..]);
            return PathBuf::from(OsString::from_vec(unescape_percent(path)));
        }
        let beyond = self.text.strip_prefix('~').filter(|_| self.tilde);
        match (beyond, home) {
            (Some(rest), Some(home)) if rest.is_empty() || rest.starts_with('/') => {
                home.join(rest.trim_start_matches('/'))
            }
            _ => PathBuf::from(&self.text),
        }
    }
}

/// The bytes of a URI's path. A `%` that begins no escape stands for itself.
fn unescape_percent(text: &str) -> Vec<u8> {
    let (bytes, mut at, mut out) = (text.as_bytes(), 0, Vec::new());
    while let Some(byte) = bytes.get(at) {
        let hex = text.get(at + 1..at + 3).filter(|_| *byte == b'%');
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(escaped) => {
                out.push(escaped);
                at += 3;
            }
            None => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    out
}

/// The words of a line, and the quote that is still open at its end.
fn split(line: &str) -> (Vec<Word>, Option<char>) {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<Word>, None);
    let mut chars = line.char_indices().peekable();
    while let Some((start, c)) = chars.next() {
        if quote.is_none() && c.is_whitespace() {
            words.extend(word.take());
            continue;
        }
        let word = word.get_or_insert_with(|| Word {
            start,
            text: String::new(),
            tilde: c == '~',
        });
        match (c, quote) {
            ('\'' | '"', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            ('\\', None) => word.text.push(chars.next().map_or('\\', |(_, next)| next)),
            // In double quotes a backslash escapes only what would mean something there.
            ('\\', Some('"')) => match chars.next_if(|(_, next)| "\"\\$`".contains(*next)) {
                Some((_, next)) => word.text.push(next),
                None => word.text.push('\\'),
            },
            (c, _) => word.text.push(c),
        }
    }
    words.extend(word);
    (words, quote)
}

/// `path` as it is written in a line.
fn escape(path: &str) -> String {
    let mut text = String::new();
    for c in path.chars() {
        if c.is_whitespace() || "'\"\\".contains(c) || (c == '~' && text.is_empty()) {
            text.push('\\');
        }
        text.push(c);
    }
    text
}

/// Tab: the last word of the line is completed by what is in its folder.
pub(super) struct PathCompletion {
    pub(super) home: Option<PathBuf>,
}

impl Completion for PathCompletion {
    fn get(&self, line: &str) -> Option<String> {
        let (words, _) = split(line);
        let last = words
            .last()
            .filter(|_| !line.ends_with(' ') || line.ends_with("\\ "));
        let (start, path) = match last {
            Some(word) => (word.start, with_slash(word, self.home.as_deref())),
            None => (line.len(), String::new()),
        };
        let (folder, begun) = path
            .rsplit_once('/')
            .map_or(("", &*path), |(folder, name)| {
                (&path[..folder.len() + 1], name)
            });
        let found = matching(if folder.is_empty() { "." } else { folder }, begun);
        let common = common_beginning(&found)?;
        (common.len() > begun.len() || found.len() == 1)
            .then(|| format!("{}{}", &line[..start], escape(&format!("{folder}{common}"))))
    }
}

/// The word as a path; a slash at its end is kept, for it says that what is inside is wanted.
fn with_slash(word: &Word, home: Option<&Path>) -> String {
    let path = word.path(home).to_string_lossy().into_owned();
    if word.text.ends_with('/') && !path.ends_with('/') {
        format!("{path}/")
    } else {
        path
    }
}

/// What is in `folder` and begins with `begun`; folders end with a slash, hidden files are only meant by a dot.
fn matching(folder: &str, begun: &str) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| {
        let name = std::str::from_utf8(entry.file_name().as_bytes())
            .ok()?
            .to_owned();
        let hidden = name.starts_with('.') && !begun.starts_with('.');
        let slash = if entry.path().is_dir() { "/" } else { "" };
        (name.starts_with(begun) && !hidden).then(|| format!("{name}{slash}"))
    });
    names.collect()
}

/// With what all of them begin.
fn common_beginning(names: &[String]) -> Option<String> {
    let (first, others) = names.split_first()?;
    let same = |(_, (at, c)): &(usize, (usize, char))| {
        others.iter().all(|other| {
            other[..]
                .get(*at..)
                .is_some_and(|rest| rest.starts_with(*c))
        })
    };
    Some(
        first
            .char_indices()
            .enumerate()
            .take_while(same)
            .map(|(_, (_, c))| c)
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<PathBuf> {
        let (words, open) = split(line);
        assert_eq!(open, None, "{line}");
        words
            .iter()
            .map(|word| word.path(Some(Path::new("/home/ben"))))
            .collect()
    }

    #[test]
    fn what_terminals_write_is_read() {
        for (line, expected) in [
            ("", &[][..]),
            ("  ", &[]),
            ("/a/b.txt", &["/a/b.txt"]),
            ("/a/b.txt ", &["/a/b.txt"]),
            ("'/a/my file.txt' ", &["/a/my file.txt"]),
            ("\"/a/my file.txt\"", &["/a/my file.txt"]),
            ("/a/my\\ file.txt", &["/a/my file.txt"]),
            ("'/a/it'\\''s'", &["/a/it's"]),
            ("\"/a/\\\"x\\\" \\$5 \\n\"", &["/a/\"x\" $5 \\n"]),
            ("'/a/b\\c'", &["/a/b\\c"]),
            ("/a/b\\", &["/a/b\\"]),
            ("file:///a/my%20file%C3%A9", &["/a/my file\u{e9}"]),
            ("file://localhost/a/100%25", &["/a/100%"]),
            ("file:///a/5%zz", &["/a/5%zz"]),
            ("~", &["/home/ben"]),
            ("~/x", &["/home/ben/x"]),
            ("\\~/x", &["~/x"]),
            ("'~/x'", &["~/x"]),
            ("~other/x", &["~other/x"]),
            ("'/a b' /c  file:///d%20e", &["/a b", "/c", "/d e"]),
            ("a\u{a0}\u{e9}\t\u{1f4e6}", &["a", "\u{e9}", "\u{1f4e6}"]),
        ] {
            let expected: Vec<_> = expected.iter().map(PathBuf::from).collect();
            assert_eq!(words(line), expected, "{line}");
        }
    }

    #[test]
    fn what_is_not_there_or_not_closed_is_said() {
        assert_eq!(parse("'/a b", None).unwrap_err(), "' is not closed");
        assert_eq!(
            parse("/no/such/file", None).unwrap_err(),
            "/no/such/file: not found"
        );
    }

    #[test]
    fn a_path_that_is_there_as_typed_needs_no_quotes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("it's my \"file\".txt");
        fs::write(&path, "").unwrap();
        assert_eq!(parse(&format!("{} ", path.display()), None), Ok(vec![path]));
    }

    #[test]
    fn tab_completes_the_last_word_and_escapes_it() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "my file.txt",
            "my film.mov",
            "\u{e9}t\u{e9}",
            ".hidden",
            "it's",
        ] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        fs::create_dir(folder.path().join("photos")).unwrap();
        let root = folder.path().display();
        let tab = |line: &str| {
            PathCompletion {
                home: Some(folder.path().to_owned()),
            }
            .get(line)
        };
        for (line, expected) in [
            (format!("{root}/my"), format!("{root}/my\\ fil")),
            (format!("{root}/my\\ file"), format!("{root}/my\\ file.txt")),
            (format!("'{root}/my file"), format!("{root}/my\\ file.txt")),
            (format!("/etc {root}/p"), format!("/etc {root}/photos/")),
            (format!("{root}/i"), format!("{root}/it\\'s")),
            (format!("{root}/.h"), format!("{root}/.hidden")),
            (format!("{root}/\u{e9}"), format!("{root}/\u{e9}t\u{e9}")),
            ("~/p".to_owned(), format!("{root}/photos/")),
        ] {
            assert_eq!(tab(&line), Some(expected), "{line}");
        }
        assert_eq!(tab(&format!("{root}/my\\ fil")), None);
        assert_eq!(tab(&format!("{root}/nothing")), None);
    }
}
