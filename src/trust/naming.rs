//! Names of peers made from what people call their machines.

use unicode_normalization::{UnicodeNormalization as _, char::is_combining_mark};

use super::{is_new_peer_name, is_peer_name};

/// The longest name.
const MAX: usize = 63;
/// The highest number that tells machines of one name apart.
const MAX_NUMBER: usize = 99;

/// A name for a machine that a person calls `text`: `Eve's Laptop` is `eves-laptop`, `Büro 2` is `buro-2`. What is a name
/// already stays as it is. None if no letter or digit of it can be in a name, or it is an address.
pub fn name_of(text: &str) -> Option<String> {
    let text = text.trim();
    if is_new_peer_name(text) {
        return Some(text.to_owned());
    }
    if is_peer_name(text) {
        // An address: nobody calls a machine so.
        return None;
    }
    let (mut name, mut gap) = (String::new(), false);
    for c in text.nfkd().filter(|c| !is_combining_mark(*c)) {
        match c {
            _ if c.is_ascii_alphanumeric() => {
                if gap && !name.is_empty() {
                    name.push('-');
                }
                gap = false;
                name.push(c.to_ascii_lowercase());
            }
            // In one word: Eve's.
            '\'' | '\u{2018}' | '\u{2019}' | '`' => {}
            'ß' => name.push_str("ss"),
            _ => gap = true,
        }
    }
    name.truncate(MAX);
    let name = name.trim_end_matches('-').to_owned();
    is_new_peer_name(&name).then_some(name)
}

/// Names like `name` for a machine that cannot have it: `vm-2`, `vm-3` and so on; first `a-b` for `a.b`, which is a host's.
pub fn names_like(name: &str) -> impl Iterator<Item = String> {
    let whole = name_of(&name.replace('.', "-")).unwrap_or_else(|| "peer".to_owned());
    let (base, first) = match whole.rsplit_once('-') {
        Some((base, number)) if !base.is_empty() => match number.parse::<usize>() {
            Ok(number @ 2..MAX_NUMBER) => (base.to_owned(), number + 1),
            _ => (whole.clone(), 2),
        },
        _ => (whole.clone(), 2),
    };
    let other = (whole != name).then_some(whole);
    let numbered = (first..=MAX_NUMBER).map(move |number| {
        let number = format!("-{number}");
        let mut numbered = base.clone();
        numbered.truncate(MAX - number.len());
        numbered + &number
    });
    other.into_iter().chain(numbered)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_call_their_machines_becomes_a_name() {
        for (text, name) in [
            ("anna", "anna"),
            (" anna\n", "anna"),
            ("a.b_c-1", "a.b_c-1"),
            ("Eve's Laptop", "eves-laptop"),
            ("Eve\u{2019}s  Laptop!", "eves-laptop"),
            ("Büro (2)", "buro-2"),
            ("Straße", "strasse"),
            ("-x-", "x"),
            ("Ångström é", "angstrom-e"),
        ] {
            assert_eq!(name_of(text).as_deref(), Some(name), "{text:?}");
        }
        for text in ["", " ", "'", "日本", "-", "../", "10.0.0.1", "10.1"] {
            assert_eq!(name_of(text), None, "{text:?}");
        }
        let long = name_of(&"A ".repeat(100)).unwrap();
        assert!(long.len() <= MAX && long.ends_with('a'), "{long}");
    }

    #[test]
    fn a_name_that_is_taken_gets_a_number() {
        let like = |name: &str| names_like(name).take(2).collect::<Vec<_>>();
        assert_eq!(like("vm"), ["vm-2", "vm-3"]);
        assert_eq!(like("vm-2"), ["vm-3", "vm-4"]);
        assert_eq!(like("vm-0"), ["vm-0-2", "vm-0-3"]);
        assert_eq!(like("a.b"), ["a-b", "a-b-2"]);
        assert_eq!(like("192.0.2.1"), ["192-0-2-1", "192-0-2-1-2"]);
        assert_eq!(like("日本"), ["peer", "peer-2"]);
        let long = "x".repeat(63);
        for name in names_like(&long) {
            assert!(is_new_peer_name(&name), "{name}");
        }
    }
}
