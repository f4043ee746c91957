//! What the person wants done with what arrives, and from whom.

use std::collections::BTreeMap;

/// What to do with what arrives for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum InboxMode {
    /// Open it on arrival.
    #[default]
    Auto,
    /// Wait for a yes.
    Ask,
    /// Leave it sealed, for an explicit receive.
    Off,
}

/// What to do with what arrives from one sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct InboxRule {
    /// What to do.
    pub mode: InboxMode,
    /// With [`InboxMode::Auto`]: bytes of content above which it waits for a yes.
    pub auto_up_to: Option<u64>,
}

/// The rule for everybody, and those for single senders by the names in their certificates.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InboxPolicy {
    /// For everybody else.
    pub default: InboxRule,
    /// For these.
    pub senders: BTreeMap<String, InboxRule>,
}

/// Why a transfer was not opened on arrival.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Waiting {
    /// Its sender is asked about.
    Asks,
    /// It is larger than what is opened unasked.
    Larger {
        /// The limit, in bytes.
        than: u64,
    },
    /// Only a password opens it.
    Locked,
    /// The inbox is off.
    Off,
    /// It could not be opened now; it is tried again.
    Failed {
        /// Why. May have foreign text.
        reason: String,
    },
}

impl InboxPolicy {
    /// Why a transfer of `size` bytes from `sender` is not opened unasked, if so. A stream has no size before it ends.
    pub fn waits(&self, sender: &str, size: Option<u64>) -> Option<Waiting> {
        let rule = self.senders.get(sender).unwrap_or(&self.default);
        match (rule.mode, rule.auto_up_to) {
            (InboxMode::Auto, Some(than)) if size.is_none_or(|size| size > than) => {
                Some(Waiting::Larger { than })
            }
            (InboxMode::Auto, _) => None,
            (InboxMode::Ask, _) => Some(Waiting::Asks),
            (InboxMode::Off, _) => Some(Waiting::Off),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_of_a_sender_wins_over_that_of_everybody() {
        let rule = |mode, auto_up_to| InboxRule { mode, auto_up_to };
        let policy = InboxPolicy {
            default: rule(InboxMode::Ask, None),
            senders: BTreeMap::from([
                ("ben".to_owned(), rule(InboxMode::Auto, Some(100))),
                ("eve".to_owned(), rule(InboxMode::Off, None)),
            ]),
        };
        assert_eq!(policy.waits("anna", Some(1)), Some(Waiting::Asks));
        assert_eq!(policy.waits("eve", Some(1)), Some(Waiting::Off));
        assert_eq!(policy.waits("ben", Some(100)), None);
        let larger = Some(Waiting::Larger { than: 100 });
        assert_eq!(policy.waits("ben", Some(101)), larger);
        assert_eq!(
            policy.waits("ben", None),
            larger,
            "a stream may be of any size"
        );
    }
}
