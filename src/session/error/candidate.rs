//! The transfers that a name or the beginning of an id may mean: what a person needs to choose one.

use std::fmt;

use crate::{config::units::Size, id::Short as _, manifest::Timestamp, name::Escaped};

/// One of several transfers that may be meant. Its texts may be foreign: escape them before showing them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its id, whole: of the manifest, or of the transfer where there is none yet.
    pub id: String,
    /// When it was made, or began to arrive.
    pub at: Timestamp,
    /// Bytes of content, as far as they are known.
    pub bytes: Option<u64>,
    /// Who it is from, or to whom it is if it was sent from here: `from anna`, `to ben, carl`.
    pub who: String,
    /// What it has at its top, as far as that can be opened here.
    pub names: Vec<String>,
}

impl Candidate {
    /// The candidates in the order of time, of many the last ones.
    pub(in crate::session) fn in_time(mut candidates: Vec<Self>) -> Vec<Self> {
        /// More of them nobody reads through.
        const MOST: usize = 10;
        candidates.sort_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
        let over = candidates.len().saturating_sub(MOST);
        candidates.drain(..over);
        candidates
    }

    /// Its names, escaped.
    pub fn contents(&self) -> String {
        let names = self.names.iter().map(|name| Escaped::new(name).to_string());
        names.collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.id.short(), self.at)?;
        if let Some(bytes) = self.bytes {
            write!(f, " {}", Size(bytes))?;
        }
        write!(f, " {}", Escaped::new(&self.who))?;
        match self.names.is_empty() {
            true => Ok(()),
            false => write!(f, " {}", self.contents()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_many_are_shown_in_the_order_of_time() {
        let of = |n: u64| Candidate {
            id: format!("{n:064}"),
            at: Timestamp::from_unix_seconds(n * 7 % 20),
            bytes: Some(3),
            who: "from anna".to_owned(),
            names: vec!["a\u{1b}.txt".to_owned()],
        };
        let shown = Candidate::in_time((0..20).map(of).collect());
        let times: Vec<_> = shown.iter().map(|one| one.at.unix_seconds()).collect();
        assert_eq!(times, (10..20).collect::<Vec<_>>());
        let text = shown[0].to_string();
        assert_eq!(
            text,
            "00000000 1970-01-01T00:00:10Z 3 B from anna a\\u{1b}.txt"
        );
    }
}
