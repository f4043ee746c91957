//! Which characters of a text are seen, by the tables of the Unicode Character Database.

use icu_properties::{
    CodePointMapData, CodePointSetData,
    props::{DefaultIgnorableCodePoint, ExtendedPictographic, GeneralCategory, WhiteSpace},
};

/// Emoji presentation: what it follows is shown in colour.
const EMOJI_PRESENTATION: char = '\u{fe0f}';

/// The characters of `text`, each with whether it must not be shown as it is: nobody sees it there, and so it could hide or reorder
/// what a person reads.
pub(super) fn judged(text: &str) -> impl Iterator<Item = (char, bool)> + '_ {
    let pictographs = CodePointSetData::new::<ExtendedPictographic>();
    let mut before = None;
    text.chars().map(move |c| {
        let is_styled = before.is_some_and(|before| pictographs.contains(before));
        before = Some(c);
        (
            c,
            is_invisible(c) && !(is_styled && c == EMOJI_PRESENTATION),
        )
    })
}

/// Whether `c` has no glyph of its own: a control, a format character, an ignorable one, or a blank other than the space.
fn is_invisible(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_control();
    }
    let category = CodePointMapData::<GeneralCategory>::new().get(c);
    matches!(
        category,
        GeneralCategory::Control
            | GeneralCategory::Format
            | GeneralCategory::LineSeparator
            | GeneralCategory::ParagraphSeparator
            | GeneralCategory::SpaceSeparator
    ) || CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
        || CodePointSetData::new::<WhiteSpace>().contains(c)
        || is_blank_symbol(c)
}

/// Symbols that are drawn as nothing, which no property of the database tells: the braille pattern without dots, and the musical
/// null notehead.
fn is_blank_symbol(c: char) -> bool {
    matches!(c, '\u{2800}' | '\u{1d159}')
}

#[cfg(test)]
mod tests {
    use icu_properties::props::GeneralCategoryGroup;

    use super::*;
    use crate::name::{Escaped, Place, SafeName, escape_json};

    /// Every scalar value, on its own between letters.
    fn all() -> impl Iterator<Item = char> {
        ('\0'..=char::MAX).filter(|c| *c != ' ')
    }

    fn is_kept(c: char) -> bool {
        Escaped::new(&format!("a{c}b")).to_string().contains(c)
    }

    /// Said the other way round: of what has a glyph, or could have one in a font, everything is kept that is not ignorable.
    #[test]
    fn of_all_scalar_values_those_with_a_glyph_are_kept_and_no_others() {
        let seen = GeneralCategoryGroup::Letter
            .union(GeneralCategoryGroup::Mark)
            .union(GeneralCategoryGroup::Number)
            .union(GeneralCategoryGroup::Punctuation)
            .union(GeneralCategoryGroup::Symbol)
            .union(GeneralCategoryGroup::PrivateUse)
            .union(GeneralCategoryGroup::Unassigned);
        let ignorable = CodePointSetData::new::<DefaultIgnorableCodePoint>();
        for c in all() {
            let category = CodePointMapData::<GeneralCategory>::new().get(c);
            let expected = seen.contains(category) && !ignorable.contains(c);
            assert_eq!(is_kept(c), expected && !is_blank_symbol(c), "{c:?}");
            // The tables of the standard library agree.
            assert!(
                !is_kept(c) || !(c.is_control() || c.is_whitespace()),
                "{c:?}"
            );
        }
    }

    #[test]
    fn the_three_ways_to_write_a_text_agree_on_every_scalar_value() {
        for c in all().filter(|c| !matches!(c, '/' | '\\' | ':')) {
            let text = format!("a{c}b");
            let safe = SafeName::new(&text, Place::TopLevel);
            assert_eq!(safe.as_str() == text, is_kept(c), "{c:?}");
            assert_eq!(escape_json(&text) == text, is_kept(c), "{c:?}");
        }
    }

    #[test]
    fn invisible_characters_of_every_kind_are_escaped() {
        let ranges = [
            '\u{0}'..='\u{1f}',
            '\u{7f}'..='\u{a0}',
            '\u{ad}'..='\u{ad}',
            '\u{34f}'..='\u{34f}',
            '\u{61c}'..='\u{61c}',
            '\u{115f}'..='\u{1160}',
            '\u{1680}'..='\u{1680}',
            '\u{17b4}'..='\u{17b5}',
            '\u{180b}'..='\u{180f}',
            '\u{2000}'..='\u{200f}',
            '\u{2028}'..='\u{202f}',
            '\u{205f}'..='\u{206f}',
            '\u{2800}'..='\u{2800}',
            '\u{3000}'..='\u{3000}',
            '\u{3164}'..='\u{3164}',
            '\u{fe00}'..='\u{fe0f}',
            '\u{feff}'..='\u{feff}',
            '\u{ffa0}'..='\u{ffa0}',
            '\u{fff0}'..='\u{fffb}',
            '\u{13430}'..='\u{1343f}',
            '\u{1bca0}'..='\u{1bca3}',
            '\u{1d159}'..='\u{1d159}',
            '\u{1d173}'..='\u{1d17a}',
            '\u{e0000}'..='\u{e0fff}',
        ];
        for c in ranges.into_iter().flatten() {
            assert!(!is_kept(c), "{c:?}");
        }
    }

    #[test]
    fn emoji_presentation_is_kept_once_after_a_pictograph_and_nowhere_else() {
        let heart = "\u{2764}\u{fe0f}";
        assert_eq!(Escaped::new(heart).to_string(), heart);
        assert_eq!(SafeName::new(heart, Place::TopLevel).as_str(), heart);
        for (text, shown) in [
            ("\u{2764}\u{fe0f}\u{fe0f}", "\u{2764}\u{fe0f}\\u{fe0f}"),
            ("1\u{fe0f}", "1\\u{fe0f}"),
            ("a\u{fe0f}", "a\\u{fe0f}"),
            ("\u{fe0f}", "\\u{fe0f}"),
            ("\u{2764}\u{fe0e}", "\u{2764}\\u{fe0e}"),
        ] {
            assert_eq!(Escaped::new(text).to_string(), shown);
        }
    }
}
