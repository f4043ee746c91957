//! Rights: what a peer may do here beyond the store, in routes and services of one's own. A peer has none until its owner
//! gives it one.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::is_peer_name;

/// How a right is written, in words.
pub const RIGHT_RULE: &str = "a right is two words with a colon between them, for example bank:atm; a word has 1 to 63 of a-z, 0-9, `-`, `_` \
     and `.`, and begins with a letter or a digit";

/// A right, for example `bank:atm`: the service that asks for it, and what it is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Right(String);

/// Not a right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{RIGHT_RULE}")]
pub struct ParseRightError(());

impl Right {
    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Right {
    type Error = ParseRightError;

    fn try_from(text: String) -> Result<Self, ParseRightError> {
        match text.split_once(':') {
            Some((service, what)) if is_peer_name(service) && is_peer_name(what) => Ok(Self(text)),
            _ => Err(ParseRightError(())),
        }
    }
}

impl FromStr for Right {
    type Err = ParseRightError;

    fn from_str(text: &str) -> Result<Self, ParseRightError> {
        text.to_owned().try_into()
    }
}

impl From<Right> for String {
    fn from(right: Right) -> Self {
        right.0
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_right_has_one_spelling() {
        for good in ["bank:atm", "tunnel:db-1.lan", "room:create", "a:0"] {
            assert_eq!(good.parse::<Right>().unwrap().as_str(), good);
            assert_eq!(
                serde_json::from_str::<Right>(&format!("{good:?}")).unwrap(),
                good.parse().unwrap()
            );
        }
        let long = format!("a:{}", "b".repeat(64));
        for bad in [
            "",
            ":",
            "bank",
            "bank:",
            ":atm",
            "bank:atm:x",
            "Bank:atm",
            "bank: atm",
            " bank:atm",
            "bank:atm\n",
            "b/k:atm",
            "bank:*",
            &long,
        ] {
            assert!(bad.parse::<Right>().is_err(), "{bad:?}");
            assert!(
                serde_json::from_value::<Right>(bad.into()).is_err(),
                "{bad:?}"
            );
        }
    }
}
