//! Untrusted names and relative paths, parsed into something safe to write and to print.
//!
//! Two steps, on purpose. [`RelPath`] is the format's rule: a table that breaks it is hostile and refused whole.
//! [`SafeName`] is what one component becomes on this disk: total, so that an odd but honest name never stops a
//! transfer, and strict, so that no name can hide what it is or mean something to a shell, a terminal or another system.

mod library;
mod path_text;
mod shell;
mod visible;

use std::{ffi::OsStr, fmt, os::unix::ffi::OsStrExt as _};

use crate::sabotage;
pub use library::{LibraryError, connection_failed};
pub use path_text::{PathText, path_as_text};
pub use shell::shell_word;
use visible::judged;

/// Bytes of a path in a table.
pub const MAX_PATH: usize = 4096;
/// Components of a path in a table.
pub const MAX_DEPTH: usize = 128;
/// Bytes of one component, here and on every common file system.
pub const MAX_COMPONENT: usize = 255;

/// Why a path or a link of a table is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// The path could leave its folder, or is none.
    #[error("bad path {}: {fault}", Escaped::new(path))]
    BadPath {
        /// As it was; remote text.
        path: String,
        /// What is wrong.
        fault: NameFault,
    },
    /// The link could lead out of its transfer.
    #[error("bad link target {}: {fault}", Escaped::new(target))]
    BadTarget {
        /// As it was; remote text.
        target: String,
        /// What is wrong.
        fault: NameFault,
    },
}

/// How a path or the target of a link cannot be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameFault {
    /// A path has too many bytes.
    #[error("it is too long")]
    TooLong,
    /// A path has too many components.
    #[error("it is too deep")]
    TooDeep,
    /// A path has an empty component, or begins at the root.
    #[error("an empty component or an absolute path")]
    EmptyComponent,
    /// A path names its folder, or the one above.
    #[error("a component `.` or `..`")]
    Dots,
    /// A component of a path has too many bytes.
    #[error("a component is too long")]
    LongComponent,
    /// A path has a NUL.
    #[error("a NUL")]
    Nul,
    /// A target is no path.
    #[error("it is empty, too long or has a NUL")]
    NoPath,
    /// A target begins at the root.
    #[error("it is absolute")]
    Absolute,
    /// A target has `..` behind a name.
    #[error("it goes up after going down")]
    UpAgain,
    /// A target leaves the folder at the top of its transfer.
    #[error("it leaves its folder")]
    Leaves,
}

/// A relative path of a table: components joined by `/`, none of which is empty, `.` or `..`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RelPath(String);

impl RelPath {
    /// Parses foreign text.
    ///
    /// # Errors
    /// [`NameError::BadPath`].
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let bad = |fault| {
            Err(NameError::BadPath {
                path: text.to_owned(),
                fault,
            })
        };
        if text.len() > MAX_PATH {
            return bad(NameFault::TooLong);
        }
        if text.split('/').count() > MAX_DEPTH {
            return bad(NameFault::TooDeep);
        }
        for component in text.split('/') {
            match component {
                "" => return bad(NameFault::EmptyComponent),
                "." | ".." => return bad(NameFault::Dots),
                _ if component.len() > MAX_COMPONENT => return bad(NameFault::LongComponent),
                _ if component.contains('\0') => return bad(NameFault::Nul),
                _ => {}
            }
        }
        Ok(Self(text.to_owned()))
    }

    /// Its text; remote text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path without its last component; `None` at the top.
    pub fn parent(&self) -> Option<&str> {
        self.0.rsplit_once('/').map(|(parent, _)| parent)
    }

    /// Its last component.
    pub fn file_name(&self) -> &str {
        self.0.rsplit_once('/').map_or(&self.0, |(_, name)| name)
    }

    /// How many components it has.
    pub fn depth(&self) -> usize {
        self.0.split('/').count()
    }
}

/// Where a name stands in a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// It appears in `received/` itself.
    TopLevel,
    /// It is inside of a received folder.
    Nested,
}

/// A name that is safe to write and to print. Not empty, no separator, no control character.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SafeName(String);

impl SafeName {
    /// What `component` becomes. The same name gives the same result, and a safe name stays as it is.
    ///
    /// A leading `-` or `.` is harmful only where a person or a shell pattern meets it by surprise, at the top; inside of
    /// a folder `.gitignore` must stay what it is.
    pub fn new(component: &str, place: Place) -> Self {
        let mapped = judged(component).map(|(c, hidden)| match is_harmful(c, hidden) {
            true => '_',
            false => c,
        });
        // What is cut is judged as it will be: it can end in a dot, or be a device, only then.
        let mut name = fitting(mapped.collect());
        let hidden = place == Place::TopLevel && name.starts_with(['-', '.']);
        if name.is_empty() || hidden || is_device(&name) {
            name.insert(0, '_');
            name = fitting(name);
        }
        Self(name)
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `name (n).ext`: another name for the same thing, for when this one is taken.
    pub fn numbered(&self, n: u32) -> Self {
        Self(numbered(&self.0, n))
    }
}

/// `name (n).ext`, no longer than a component may be.
pub fn numbered(name: &str, n: u32) -> String {
    let (stem, extension) = split_extension(name);
    let ending = format!(" ({n}){extension}");
    shorten(stem.to_owned(), &ending)
}

impl fmt::Display for SafeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Remote text made fit for a terminal or a log: every control, direction, zero-width, blank or otherwise invisible character but the
/// space is written as an escape, and the length is bounded.
#[derive(Debug, Clone, Copy)]
pub struct Escaped<'a> {
    text: &'a str,
    most: usize,
}

impl<'a> Escaped<'a> {
    /// The most characters that are shown.
    pub const MAX: usize = 300;

    /// Shows `text`.
    pub fn new(text: &'a str) -> Self {
        let most = Self::MAX;
        Self { text, most }
    }

    /// Shows all of `text`, which is ours and has commands to be copied in it.
    pub fn whole(text: &'a str) -> Self {
        let most = usize::MAX;
        Self { text, most }
    }
}

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (c, hidden) in judged(self.text).take(self.most) {
            if hidden && !sabotage::without("escape") {
                write!(f, "\\u{{{:x}}}", u32::from(c))?
            } else {
                fmt::Write::write_char(f, c)?
            }
        }
        if self.text.chars().nth(self.most).is_some() {
            f.write_str("...")
        } else {
            Ok(())
        }
    }
}

/// `json`, a JSON text without raw controls, in the spelling in which a terminal may see it: what [`Escaped`] would not show
/// as it is becomes `\uXXXX`, which every parser reads as the same text.
pub fn escape_json(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for (c, hidden) in judged(json) {
        if hidden {
            let units = c.encode_utf16(&mut [0; 2]).to_vec();
            units
                .iter()
                .for_each(|unit| escaped.push_str(&format!("\\u{unit:04x}")));
        } else {
            escaped.push(c);
        }
    }
    escaped
}

/// A local file name as text for a table. Bytes that are no UTF-8 become `%XX`.
pub fn from_os_component(name: &OsStr) -> String {
    let mut text = String::new();
    for part in name.as_bytes().utf8_chunks() {
        text.push_str(part.valid());
        part.invalid()
            .iter()
            .for_each(|byte| text.push_str(&format!("%{byte:02X}")));
    }
    text
}

/// Whether a link at `link` with `target` may be made. A link at the top of a transfer may not: what is beside it is the
/// reader's, and its own entries may have other names there.
///
/// Allowed is `..` only at the beginning, at most so often that it stays in the link's own top-level folder. Then no
/// chain of links leaves: the folders above a link are real ones (a table's parents are folders), so the leading `..`
/// mean what they say; every step after them goes down, through folders or through links that are themselves allowed and
/// so, by induction over the steps, end inside.
///
/// # Errors
/// [`NameError::BadTarget`].
pub fn check_link(link: &RelPath, target: &str) -> Result<(), NameError> {
    let bad = |fault| {
        Err(NameError::BadTarget {
            target: target.to_owned(),
            fault,
        })
    };
    if target.is_empty() || target.len() > MAX_PATH || target.contains('\0') {
        return bad(NameFault::NoPath);
    }
    if target.starts_with('/') {
        return bad(NameFault::Absolute);
    }
    let mut components = target
        .split('/')
        .filter(|c| !matches!(*c, "" | "."))
        .peekable();
    let mut up = 0;
    while components.next_if_eq(&"..").is_some() {
        up += 1;
    }
    if components.any(|c| c == "..") {
        return bad(NameFault::UpAgain);
    }
    // From its own folder a link may go up to its top-level folder, and not to what is beside that.
    if up + 2 > link.depth() {
        return bad(NameFault::Leaves);
    }
    Ok(())
}

/// Whether no name here may have the character: a hidden one, or one that makes another path of it somewhere.
fn is_harmful(c: char, hidden: bool) -> bool {
    hidden || matches!(c, '/' | '\\' | ':')
}

/// Names that are devices on Windows, whatever their extension and case; superscript digits count there too.
fn is_device(name: &str) -> bool {
    let stem = name
        .split('.')
        .next()
        .unwrap_or_default()
        .trim_end()
        .to_ascii_uppercase();
    if matches!(
        stem.as_str(),
        "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$"
    ) {
        return true;
    }
    let port = stem
        .strip_prefix("COM")
        .or_else(|| stem.strip_prefix("LPT"));
    port.is_some_and(|n| {
        matches!(n, "\u{b9}" | "\u{b2}" | "\u{b3}")
            || (n.len() == 1 && n.as_bytes()[0].is_ascii_digit())
    })
}

/// `stem` and `.ext`; a leading dot begins no extension, and a long one is none.
fn split_extension(name: &str) -> (&str, &str) {
    match name.rfind('.') {
        Some(dot) if dot > 0 && name.len() - dot <= 32 => name.split_at(dot),
        _ => (name, ""),
    }
}

/// `name`, cut where it must be, and without the dot or space at its end that some systems drop.
fn fitting(name: String) -> String {
    let mut name = shorten(name, "");
    if name.ends_with(['.', ' ']) {
        name.pop();
        name.push('_');
    }
    name
}

/// `stem` and `ending`, with the stem cut so that both fit. Without an ending the name's extension is kept.
fn shorten(mut name: String, ending: &str) -> String {
    let ending = if ending.is_empty() {
        let (stem, extension) = split_extension(&name);
        let (length, extension) = (stem.len(), extension.to_owned());
        name.truncate(length);
        extension
    } else {
        ending.to_owned()
    };
    let mut length = name.len().min(MAX_COMPONENT.saturating_sub(ending.len()));
    while !name.is_char_boundary(length) {
        length -= 1;
    }
    name.truncate(length);
    name + &ending
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn top(name: &str) -> String {
        SafeName::new(name, Place::TopLevel).0
    }

    #[test]
    fn a_hostile_path_is_refused() {
        let long = "a/".repeat(3000);
        let wide = "x".repeat(256);
        for path in [
            "", "/", "/etc", "a//b", "a/", "./a", "a/./b", "..", "a/../b", "a\0b", &long, &wide,
        ] {
            assert!(RelPath::parse(path).is_err(), "{path:?}");
        }
        for path in ["a", "a/b", "...", "a b/\u{e9}", "-rf", ".git/config"] {
            assert!(RelPath::parse(path).is_ok(), "{path:?}");
        }
    }

    #[test]
    fn a_name_that_is_cut_is_as_safe_as_a_short_one() {
        let cut = top(&format!("{}..{}", "x".repeat(253), "y".repeat(60)));
        assert_eq!(cut, format!("{}._", "x".repeat(253)));
        let device = top(&format!("CON{}x.txt", " ".repeat(300)));
        assert_eq!(device, format!("_CON{}.txt", " ".repeat(247)));
        for safe in [cut, device] {
            assert_eq!(top(&safe), safe);
        }
    }

    #[test]
    fn harmful_names_are_mapped() {
        for (name, safe) in [
            ("a.txt", "a.txt"),
            (".bashrc", "_.bashrc"),
            ("-rf", "_-rf"),
            (".colis", "_.colis"),
            ("a\\b", "a_b"),
            ("C:x", "C_x"),
            ("a\u{1b}[31mb", "a_[31mb"),
            ("photo\u{202e}gpj.exe", "photo_gpj.exe"),
            ("zero\u{200b}width", "zero_width"),
            ("line\u{2028}break\n", "line_break_"),
            ("CON", "_CON"),
            ("nul.txt", "_nul.txt"),
            ("COM\u{b9}", "_COM\u{b9}"),
            ("lpt0.x", "_lpt0.x"),
            ("dot.", "dot_"),
            ("space ", "space_"),
            ("", "_"),
            ("\u{e9}t\u{e9} \u{1f4e6}.txt", "\u{e9}t\u{e9} \u{1f4e6}.txt"),
        ] {
            assert_eq!(top(name), safe, "{name:?}");
        }
        assert_eq!(
            SafeName::new(".gitignore", Place::Nested).as_str(),
            ".gitignore"
        );
    }

    #[test]
    fn a_long_name_keeps_its_extension() {
        let long = top(&format!("{}.tar", "\u{e9}".repeat(200)));
        assert!(long.len() <= MAX_COMPONENT && long.ends_with("\u{e9}.tar"));
        let numbered = SafeName(long).numbered(2);
        assert!(
            numbered.as_str().len() <= MAX_COMPONENT
                && numbered.as_str().ends_with("\u{e9} (2).tar")
        );
        assert_eq!(SafeName("a.txt".into()).numbered(3).as_str(), "a (3).txt");
        assert_eq!(SafeName(".git".into()).numbered(2).as_str(), ".git (2)");
    }

    #[test]
    fn a_link_stays_in_its_folder() {
        let check = |link: &str, target: &str| check_link(&RelPath::parse(link).unwrap(), target);
        for (link, target) in [
            ("d/l", "a"),
            ("d/e/l", "../a/b"),
            ("d/l", "./e//f"),
            ("d/l", "d/a"),
        ] {
            assert!(check(link, target).is_ok(), "{link} -> {target}");
        }
        for (link, target) in [
            ("l", "d/a"),
            ("l", ".."),
            ("l", "../x"),
            ("d/l", "../x"),
            ("d/e/l", "../../x"),
            ("d/l", "a/../../x"),
            ("d/l", "/etc"),
            ("d/l", ""),
        ] {
            assert!(check(link, target).is_err(), "{link} -> {target}");
        }
    }

    #[test]
    fn a_path_is_bounded_in_bytes_depth_and_components() {
        let deep = |depth: usize| vec!["a"; depth].join("/");
        let wide = |bytes: usize| "x".repeat(bytes);
        let longest = format!("{}/{}", vec![wide(255); 15].join("/"), wide(255));
        assert_eq!(longest.len(), MAX_PATH - 1);
        for (path, good) in [
            (wide(255), true),
            (wide(256), false),
            (deep(128), true),
            (deep(129), false),
            (format!("a/{}", &longest[1..]), true),
            (format!("a/{longest}"), false),
        ] {
            assert_eq!(RelPath::parse(&path).is_ok(), good, "{}", path.len());
        }
    }

    #[test]
    fn a_path_knows_its_parts() {
        let deep = RelPath::parse("a/b/c.txt").unwrap();
        assert_eq!((deep.as_str(), deep.depth()), ("a/b/c.txt", 3));
        assert_eq!((deep.parent(), deep.file_name()), (Some("a/b"), "c.txt"));
        let top = RelPath::parse("c.txt").unwrap();
        assert_eq!((top.parent(), top.file_name()), (None, "c.txt"));
        assert_eq!(top.depth(), 1);
        assert_eq!(SafeName("safe".into()).to_string(), "safe");
    }

    #[test]
    fn only_devices_are_taken_for_devices() {
        for name in [
            "prn",
            "Aux.tar.gz",
            "conin$",
            "CONOUT$",
            "con ",
            "com1",
            "LPT9.x",
            "lpt\u{b2}",
        ] {
            assert!(is_device(name), "{name:?}");
        }
        for name in [
            "con1",
            "com",
            "lpt",
            "com10",
            "comx",
            "COM\u{b4}",
            "xcom1",
            "nul_",
            "console",
            "",
        ] {
            assert!(!is_device(name), "{name:?}");
        }
    }

    #[test]
    fn an_extension_is_short_and_not_the_whole_name() {
        let long = format!("a.{}", "x".repeat(31));
        let longer = format!("{long}x");
        for (name, parts) in [
            ("a.txt", ("a", ".txt")),
            ("a.tar.gz", ("a.tar", ".gz")),
            ("a", ("a", "")),
            (".git", (".git", "")),
            ("a.", ("a", ".")),
            (&long, ("a", &long[1..])),
            (&longer, (&longer[..], "")),
        ] {
            assert_eq!(split_extension(name), parts, "{name}");
        }
    }

    #[test]
    fn a_name_is_cut_at_a_character_to_255_bytes() {
        let whole = "x".repeat(255);
        assert_eq!(top(&whole), whole);
        assert_eq!(top(&format!("{whole}y")), whole);
        // Two bytes each: 127 of them fit.
        assert_eq!(top(&"\u{e9}".repeat(128)), "\u{e9}".repeat(127));
        let (stem, long_ending) = ("x".repeat(300), ".txt");
        let cut = top(&format!("{stem}{long_ending}"));
        assert_eq!(cut, format!("{}.txt", "x".repeat(251)));
        let numbered = SafeName(whole).numbered(12);
        assert_eq!(numbered.as_str(), format!("{} (12)", "x".repeat(250)));
        let without = SafeName("a.b".into());
        assert_eq!(shorten(without.0, ""), "a.b");
    }

    #[test]
    fn shown_text_is_bounded_and_says_that_it_was_cut() {
        let shown = |count: usize| Escaped::new(&"\u{e9}".repeat(count)).to_string();
        assert_eq!(shown(Escaped::MAX), "\u{e9}".repeat(Escaped::MAX));
        let cut = format!("{}...", "\u{e9}".repeat(Escaped::MAX));
        assert_eq!(shown(Escaped::MAX + 1), cut);
        assert_eq!(
            Escaped::new("a\u{1b}\u{202e}").to_string(),
            "a\\u{1b}\\u{202e}"
        );
        assert_eq!(
            escape_json("\"a\u{200b}\u{e0041}\""),
            r#""a\u200b\udb40\udc41""#
        );
    }

    #[test]
    fn a_link_target_is_bounded_and_names_no_other_place() {
        let deep = RelPath::parse("a/b/c/l").unwrap();
        let longest = "x".repeat(MAX_PATH);
        for (target, good) in [
            ("../..", true),
            ("../../..", false),
            ("./../../x", true),
            ("x\0", false),
            (&longest, true),
            (&format!("{longest}x"), false),
        ] {
            assert_eq!(check_link(&deep, target).is_ok(), good, "{target}");
        }
        let beside = RelPath::parse("d/l").unwrap();
        assert!(
            check_link(&beside, "..").is_err(),
            "what is beside its folder"
        );
        assert!(check_link(&RelPath::parse("d/e/l").unwrap(), "..").is_ok());
    }

    #[test]
    fn a_name_that_is_no_text_becomes_text() {
        assert_eq!(
            from_os_component(OsStr::from_bytes(b"a\xff\xc3\xa9")),
            "a%FF\u{e9}"
        );
    }

    proptest! {
        #[test]
        fn every_name_becomes_safe_and_stays_so(name in any::<String>()) {
            for place in [Place::TopLevel, Place::Nested] {
                let safe = SafeName::new(&name, place);
                prop_assert!(!safe.0.is_empty() && safe.0.len() <= MAX_COMPONENT);
                prop_assert!(!judged(&safe.0).any(|(c, hidden)| is_harmful(c, hidden)) && !matches!(safe.as_str(), "." | ".."));
                prop_assert_eq!(SafeName::new(safe.as_str(), place), safe);
            }
        }

        #[test]
        fn nothing_invisible_is_ever_printed(text in any::<String>()) {
            let shown = Escaped::new(&text).to_string();
            prop_assert!(!judged(&shown).any(|(_, hidden)| hidden));
        }

        #[test]
        fn escaped_json_is_the_same_json(text in any::<String>()) {
            let json = escape_json(&serde_json::to_string(&text).unwrap());
            prop_assert!(!judged(&json).any(|(_, hidden)| hidden));
            prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }
    }
}
