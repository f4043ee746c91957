//! The code that one person reads and another types.

use std::{fmt, str::FromStr};

use zeroize::Zeroizing;

use super::words::WORDS;

/// Numbers that a code begins with: 6 bits.
const NUMBERS: u8 = 64;

/// A number and two words: 22 bits, which suffice because nobody can try more than a few, and not without us.
#[derive(Clone, PartialEq, Eq)]
pub struct Code(Zeroizing<String>);

/// Not a code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodeError {
    /// It has another shape.
    #[error("not a pairing code: it is a number and two words, as 7-lotus-castor")]
    Shape,
    /// No code has this word, so it was mistyped.
    #[error("no pairing code has such a {place} word")]
    Word {
        /// Which.
        place: &'static str,
        /// What was meant, perhaps.
        nearest: Option<&'static str>,
    },
}

impl Code {
    /// A fresh code from the operating system's random numbers.
    ///
    /// # Errors
    /// There are none.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut random = Zeroizing::new([0_u8; 3]);
        getrandom::fill(random.as_mut())?;
        let [number, first, second] = *random;
        // Both counts are powers of two: every code is as likely as any other.
        let (number, first, second) = (
            number % NUMBERS + 1,
            WORDS[usize::from(first)],
            WORDS[usize::from(second)],
        );
        Ok(Self(Zeroizing::new(format!("{number}-{first}-{second}"))))
    }

    /// Whether `text` is a code, or one with a slip of the finger in one word. It must not be looked up as the name of a host,
    /// which would show it to the network.
    pub fn is_meant_by(text: &str) -> bool {
        match text.parse::<Self>() {
            Ok(_) => true,
            Err(CodeError::Word {
                place,
                nearest: Some(nearest),
            }) => {
                let at = if place == "first" { 1 } else { 2 };
                let is_gap = |c: char| c == '-' || c.is_whitespace();
                let parts = text.split(is_gap).filter(|part| !part.is_empty());
                let mut parts: Vec<_> = parts.collect();
                parts[at] = nearest;
                parts.join("-").parse::<Self>().is_ok()
            }
            Err(_) => false,
        }
    }

    /// The code itself: for the person who shows it, and for the exchange.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl FromStr for Code {
    type Err = CodeError;

    /// Takes blanks for hyphens and capitals for small letters. What cannot be a code is found here, without costing a try.
    fn from_str(text: &str) -> Result<Self, CodeError> {
        let text = Zeroizing::new(text.trim().to_lowercase());
        let is_gap = |c: char| c == '-' || c.is_whitespace();
        let mut parts = text.split(is_gap).filter(|part| !part.is_empty());
        let (Some(number), Some(first), Some(second), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(CodeError::Shape);
        };
        let number = number.parse::<u8>().map_err(|_| CodeError::Shape)?;
        if !(1..=NUMBERS).contains(&number) {
            return Err(CodeError::Shape);
        }
        let (first, second) = (word("first", first)?, word("second", second)?);
        Ok(Self(Zeroizing::new(format!("{number}-{first}-{second}"))))
    }
}

fn word(place: &'static str, text: &str) -> Result<&'static str, CodeError> {
    if let Ok(found) = WORDS.binary_search(&text) {
        return Ok(WORDS[found]);
    }
    let distance = |word: &&&str| strsim::levenshtein(word, text);
    // Longer text is no slip of a finger, and would only cost time.
    let nearest = match text.len() <= 16 {
        true => WORDS.iter().min_by_key(distance).copied(),
        false => None,
    };
    let nearest = nearest.filter(|word| strsim::levenshtein(word, text) <= 2);
    Err(CodeError::Word { place, nearest })
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_however_it_is_typed() {
        let code = Code::generate().unwrap();
        assert_eq!(code.expose().parse(), Ok(code.clone()));
        let code = "7-lotus-castor".parse::<Code>().unwrap();
        for typed in [
            " 7 Lotus  castor\n",
            "7-LOTUS-CASTOR",
            "07 - lotus - castor",
        ] {
            assert_eq!(typed.parse(), Ok(code.clone()), "{typed:?}");
        }
        assert_eq!(format!("{code:?}"), "Code(..)");
    }

    #[test]
    fn what_can_be_no_code_is_said_before_anybody_is_asked() {
        for bad in [
            "",
            "lotus-castor",
            "7-lotus",
            "0-lotus-castor",
            "65-lotus-castor",
            "7-lotus-castor-7",
            "-7-x",
        ] {
            assert_eq!(bad.parse::<Code>(), Err(CodeError::Shape), "{bad:?}");
        }
        let nearest = |text: &str| match text.parse::<Code>() {
            Err(CodeError::Word { place, nearest }) => (place, nearest),
            other => panic!("{other:?}"),
        };
        assert_eq!(nearest("7-lotos-castor"), ("first", Some("lotus")));
        assert_eq!(nearest("7-lotus-qqqqqqq"), ("second", None));
        assert_eq!(
            nearest(&format!("7-lotus-{}", "x".repeat(10_000))),
            ("second", None)
        );
    }

    #[test]
    fn a_code_is_told_from_the_name_of_a_host() {
        for text in ["7-lotus-castor", "7-Lotos-castor", " 7 lotus castro "] {
            assert!(Code::is_meant_by(text), "{text}");
        }
        for text in [
            "anna",
            "7-lotos-castro",
            "7-anna-castor-laptop",
            "lotus-castor",
            "7-line-park",
            "99-lotus-castor",
            "",
        ] {
            assert!(!Code::is_meant_by(text), "{text}");
        }
    }

    #[test]
    fn codes_differ_and_have_every_number_and_word() {
        let codes: Vec<_> = (0..4000).map(|_| Code::generate().unwrap()).collect();
        let numbers: std::collections::BTreeSet<_> =
            codes.iter().map(|c| c.expose().split('-').next()).collect();
        let words: std::collections::BTreeSet<_> = codes
            .iter()
            .flat_map(|c| c.expose().split('-').skip(1))
            .collect();
        assert_eq!((numbers.len(), words.len()), (64, 256));
    }
}
