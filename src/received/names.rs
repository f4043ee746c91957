//! Names that are different, and one on some file systems.

use unicode_normalization::UnicodeNormalization as _;

/// Which names a file system takes for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Names {
    /// Those with the same bytes.
    #[default]
    Exact,
    /// Capitals, normal forms or both do not count.
    Folded,
}

impl Names {
    /// The same text for names that are one. [`Folded`](Self::Folded) takes more names for one than any file system, so that
    /// two names with different texts are two names everywhere.
    pub(super) fn key(self, name: &str) -> String {
        match self {
            Self::Exact => name.to_owned(),
            Self::Folded => {
                let upper = name.nfkd().flat_map(char::to_uppercase);
                let lower = upper.flat_map(char::to_lowercase);
                lower.filter(|c| !is_ignored(*c)).nfkd().collect()
            }
        }
    }
}

/// Characters that case folding drops (`Default_Ignorable_Code_Point`), if a safe name may have them.
fn is_ignored(c: char) -> bool {
    matches!(c, '\u{34f}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0080}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_some_file_system_takes_for_one_have_one_key() {
        let twins = [
            ("README", "readme"),
            ("stra\u{df}e", "STRASSE"),
            ("\u{e9}", "e\u{301}"),
            ("\u{c9}", "e\u{301}"),
            ("\u{3c3}", "\u{3c2}"),
            ("\u{212a}", "k"),
            ("a\u{fe0f}", "A"),
        ];
        for (one, other) in twins {
            assert_eq!(Names::Folded.key(one), Names::Folded.key(other));
            assert_ne!(Names::Exact.key(one), Names::Exact.key(other));
        }
        assert_ne!(Names::Folded.key("a"), Names::Folded.key("b"));
    }
}
