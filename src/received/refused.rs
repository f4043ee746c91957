//! Names that the file system of a staging refuses, and those that it takes in their place. FAT, exFAT, NTFS and CIFS have no
//! `* ? " < > |`, some file systems have one normal form only, some nothing but ASCII: the file system is asked, because no
//! list of kinds is complete.

use std::collections::{BTreeSet, HashMap};

use rustix::{
    fs::{AtFlags, Mode, mkdirat, unlinkat},
    io::Errno,
};
use unicode_normalization::{UnicodeNormalization as _, char::canonical_combining_class};

use super::Staging;
use crate::name::{Place, SafeName};

/// So many parts of names are tried at once, as one name.
const AT_ONCE: usize = 40;

/// What stands in the place of each part of a name that is refused. A part is a character with its accents.
#[derive(Debug, Default)]
pub struct Refused(HashMap<String, String>);

impl Refused {
    /// Whether every name is taken as it is.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `name` as it is taken.
    pub(super) fn avoid(&self, name: SafeName) -> SafeName {
        if !parts(name.as_str()).any(|part| self.0.contains_key(part)) {
            return name;
        }
        let taken = |part| self.0.get(part).map_or(part, String::as_str);
        let name: String = parts(name.as_str()).map(taken).collect();
        SafeName::new(&name, Place::Nested)
    }
}

impl Staging {
    /// What its file system refuses of `names`. Trying costs about two calls for 40 parts that are not plain.
    pub fn refused<'a>(&self, names: impl Iterator<Item = &'a str>) -> Refused {
        let unusual: BTreeSet<_> = names.flat_map(parts).filter(|p| !is_plain(p)).collect();
        let unusual: Vec<_> = unusual.into_iter().collect();
        let mut refused = Vec::new();
        for some in unusual.chunks(AT_ONCE) {
            self.find_refused(some, &mut refused);
        }
        let renamed = refused.into_iter().map(|part| {
            let forms = [part.nfc().collect(), part.nfd().collect()];
            let taken = forms.into_iter().find(|form: &String| self.takes(form));
            (part.to_owned(), taken.unwrap_or_else(|| "_".to_owned()))
        });
        Refused(renamed.collect())
    }

    fn find_refused<'a>(&self, parts: &[&'a str], refused: &mut Vec<&'a str>) {
        // Joined so that no part composes with its neighbour.
        if parts.is_empty() || self.takes(&parts.join("-")) {
            return;
        }
        if let [part] = parts {
            return refused.push(part);
        }
        let (some, others) = parts.split_at(parts.len() / 2);
        self.find_refused(some, refused);
        self.find_refused(others, refused);
    }

    fn takes(&self, name: &str) -> bool {
        match mkdirat(&self.folder, name, Mode::RWXU) {
            Ok(()) => {
                // An empty folder that stays goes with the staging.
                let _ = unlinkat(&self.folder, name, AtFlags::REMOVEDIR);
                true
            }
            Err(error) => !is_refusal(error),
        }
    }
}

/// Other errors are those of a disk, which are told where something is made.
fn is_refusal(error: Errno) -> bool {
    matches!(
        error,
        Errno::INVAL
            | Errno::NOENT
            | Errno::PERM
            | Errno::ACCESS
            | Errno::ILSEQ
            | Errno::NAMETOOLONG
            | Errno::OPNOTSUPP
    )
}

/// Every file system takes it.
fn is_plain(part: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b" -_.()".contains(&b);
    part.bytes().all(is_plain)
}

/// The characters of `name`, each with what may compose with it.
fn parts(name: &str) -> impl Iterator<Item = &str> {
    let mut rest = name;
    std::iter::from_fn(move || {
        let mut after_first = rest.char_indices().skip(1);
        let end = after_first.find(|(_, c)| !composes(*c));
        let (part, later) = rest.split_at(end.map_or(rest.len(), |(at, _)| at));
        rest = later;
        (!part.is_empty()).then_some(part)
    })
}

/// Accents, and the vowels and last consonants of Hangul.
fn composes(c: char) -> bool {
    canonical_combining_class(c) != 0 || matches!(c, '\u{1160}'..='\u{11ff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_a_character_with_what_composes_with_it() {
        let name = "cafe\u{301}?\u{1112}\u{1161}\u{11ab}";
        let found: Vec<_> = parts(name).collect();
        assert_eq!(
            found,
            ["c", "a", "f", "e\u{301}", "?", "\u{1112}\u{1161}\u{11ab}"]
        );
        assert_eq!(parts("").count(), 0);
    }

    #[test]
    fn a_refused_part_is_replaced_and_the_name_stays_safe() {
        let refused = [("?", "_"), ("e\u{301}", "\u{e9}"), ("\u{212a}", "K")];
        let refused = refused.map(|(from, to)| (from.to_owned(), to.to_owned()));
        let refused = Refused(refused.into());
        let avoid = |name| {
            refused
                .avoid(SafeName::new(name, Place::Nested))
                .to_string()
        };
        assert_eq!(avoid("a?b e\u{301}"), "a_b \u{e9}");
        assert_eq!(avoid("plain"), "plain");
        assert_eq!(avoid("\u{212a}?"), "K_");
    }
}
