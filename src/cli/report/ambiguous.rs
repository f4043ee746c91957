//! A name or the beginning of an id that several transfers have: they are listed, and the same command is shown with the id of one.

use std::env;

use super::Failure;
use crate::{
    cli::show::{
        brief,
        table::{Cell, Row, in_columns},
    },
    config::units::Size,
    name::{Escaped, shell_word},
    session::{Candidate, Mistake},
};

/// The failure with its list, and how to choose.
pub(super) fn failure(failure: Failure, mistake: &Mistake) -> Failure {
    let Mistake::Ambiguous {
        text,
        count,
        candidates,
    } = mistake
    else {
        return failure;
    };
    let (latest, shown) = (candidates.last(), candidates.len());
    let mut list = in_columns(candidates.iter().map(row).collect());
    if *count > shown {
        list.insert(0, format!("… {} older ones", count - shown));
    }
    let sentence = format!("{text} may be one of {count} transfers");
    let words = env::args_os().skip(1);
    let words = words.map(|word| word.to_string_lossy().into_owned());
    let command = latest.and_then(|one| with_id(words, text, &brief::id(&one.id)));
    // Anybody can copy the id of a transfer.
    let is_same = candidates.windows(2).all(|pair| pair[0].id == pair[1].id);
    let hint = match command {
        _ if is_same => "say whose: --from NAME".to_owned(),
        Some(command) => format!("name one by its id, for example the last: {command}"),
        None => "name one by its id".to_owned(),
    };
    failure.listing(sentence, list).hint(hint)
}

fn row(one: &Candidate) -> Row {
    let size = one.bytes.map(|bytes| Size(bytes).to_string());
    Row(vec![
        Cell::Id(one.id.clone()),
        Cell::Time(one.at),
        Cell::Number(size.unwrap_or_default()),
        Cell::Names(Escaped::new(&one.who).to_string()),
        Cell::Names(one.contents()),
    ])
}

/// The command of these `words` with `id` in the place of `text`, as it is typed; none if `text` is not among them.
fn with_id(words: impl Iterator<Item = String>, text: &str, id: &str) -> Option<String> {
    let mut words: Vec<_> = words.collect();
    // Names of peers come first, and may be the same.
    let place = words
        .iter()
        .rposition(|word| word.split(',').any(|part| part == text) || word == text)?;
    let word = &mut words[place];
    *word = match word == text {
        true => id.to_owned(),
        false => {
            let parts = word
                .split(',')
                .map(|part| if part == text { id } else { part });
            parts.collect::<Vec<_>>().join(",")
        }
    };
    let words: Vec<_> = words.iter().map(shell_word).collect();
    Some(format!("colis {}", words.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_the_one_that_was_typed_with_an_id_in_the_place_of_the_name() {
        let with = |words: &[&str]| {
            let words = words.iter().map(|word| (*word).to_owned());
            with_id(words, "my notes.txt", "3f2a1b9c")
        };
        assert_eq!(
            with(&["--home", "/a b", "receive", "--from", "ben", "my notes.txt"]).unwrap(),
            "colis --home '/a b' receive --from ben 3f2a1b9c"
        );
        assert_eq!(
            with(&["send", "--resume", "a,my notes.txt"]).unwrap(),
            "colis send --resume a,3f2a1b9c"
        );
        assert_eq!(with(&["receive", "other"]), None);
    }
}
