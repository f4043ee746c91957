//! The settings that there are: one table for the file, the environment and the documents.

use std::ffi::OsString;

use super::{
    ConfigError, ConfigFault,
    file::{Given, INBOX, ROLES},
};

/// One setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// Its name in the file.
    pub key: &'static str,
    /// What holds if nobody sets it.
    pub default: Unset,
    /// When another value is in force.
    pub counts: Counts,
    /// What it is for, in lines.
    pub about: &'static str,
}

/// When another value of a setting is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counts {
    /// At once: also a peer that serves takes it when it reads its settings again.
    AtOnce,
    /// For the next command. A peer that serves does not need it.
    NextCommand,
    /// In a peer that serves when it is started again.
    AtStart,
}

/// What holds if nobody sets something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unset {
    /// A value, as the file would have it.
    Value(&'static str),
    /// No value of the file says it.
    Words {
        /// What holds, in words.
        holds: &'static str,
        /// A value that would change it.
        example: &'static str,
    },
}

const fn setting(
    key: &'static str,
    counts: Counts,
    default: Unset,
    about: &'static str,
) -> Setting {
    Setting {
        key,
        default,
        counts,
        about,
    }
}

const fn words(holds: &'static str, example: &'static str) -> Unset {
    Unset::Words { holds, example }
}

/// Every setting at the top of the file.
pub const SETTINGS: [Setting; 17] = [
    setting(
        "listen",
        Counts::AtStart,
        Unset::Value("\"[::]:8443\""),
        "Where `colis serve` listens: [::]:8443 or :8443 is every address of this machine, of both families; 0.0.0.0:8443 of\n\
         IPv4 only, 192.0.2.7:8443 one address.",
    ),
    setting(
        "inbox",
        Counts::AtOnce,
        Unset::Value("\"auto\""),
        "What to do with what arrives for this peer: \"auto\" opens it into the folder `received`, \"ask\" waits for\n\
         `colis inbox accept`, \"off\" leaves it sealed until `colis receive`.",
    ),
    setting(
        "received",
        Counts::AtOnce,
        words("where status says", "\"~/Downloads/colis\""),
        "Where received files appear: a whole path, one that begins with ~/, or one from the folder of this file on. Without it:\n\
         colis in the platform's folder for downloads; received/ beside this file for another home than the platform's, where that\n\
         has files already, or where there is no folder for downloads.",
    ),
    setting(
        "auto_up_to",
        Counts::AtOnce,
        words("any size is opened", "\"1GiB\""),
        "With inbox = \"auto\": what is larger waits for a yes.",
    ),
    setting(
        "keep_opened",
        Counts::AtOnce,
        words(
            "0 for what is for this peer alone, 1d for what others can still collect",
            "\"1d\"",
        ),
        "For how long a transfer stays sealed in the store after it was opened: 30m, 12h, 1d, or 0. Without it: what only its sender\n\
         and this peer can open goes at once; what has more recipients, or a password, stays for a day.",
    ),
    setting(
        "keep_refused",
        Counts::AtOnce,
        Unset::Value("\"1d\""),
        "For how long a transfer stays after it was refused, and can still be accepted.",
    ),
    setting(
        "quota",
        Counts::AtOnce,
        words("what the disk has", "\"100GiB\""),
        "The most that the store takes.",
    ),
    setting(
        "relay_quota",
        Counts::AtOnce,
        words("what the disk has", "\"10GiB\""),
        "The most stored bytes of transfers that one sender may have here for others.",
    ),
    setting(
        "relay_keep",
        Counts::AtOnce,
        words("until it expires", "\"7d\""),
        "For how long it is kept at most.",
    ),
    setting(
        "collect",
        Counts::AtOnce,
        Unset::Value("\"1m\""),
        "While serving: how often the known peers are asked for what others left there for this one; 0 for never.",
    ),
    setting(
        "reserve",
        Counts::AtOnce,
        words("1GiB, 2 % of small disks", "\"1GiB\""),
        "What stays free on the disk.",
    ),
    setting(
        "chunk_size",
        Counts::NextCommand,
        Unset::Value("\"1MiB\""),
        "Plain bytes of a chunk of what is sent from here: 64KiB to 64MiB, a power of two.",
    ),
    setting(
        "jobs",
        Counts::AtOnce,
        Unset::Value("4"),
        "Chunks in flight.",
    ),
    setting(
        "limit",
        Counts::NextCommand,
        words("no limit", "\"10MiB\""),
        "Bytes a second that `send` and `receive` move at most.",
    ),
    setting(
        "log_days",
        Counts::AtOnce,
        Unset::Value("14"),
        "Days of JSON logs kept in logs/ while serving; 0 writes none.",
    ),
    setting(
        "default_role",
        Counts::AtOnce,
        Unset::Value("\"member\""),
        "What members of the circle may do here that were given no role of their own: \"member\" everything, \"sender\" put,\n\
         and see their own, \"reader\" see what is addressed to them, \"none\" nothing. `colis peers role` gives one.",
    ),
    setting(
        "discovery",
        Counts::AtOnce,
        Unset::Value("true"),
        "Whether `colis serve` announces this peer in the local network by multicast DNS, and peers are looked for there.\n\
         What is found is only an address to try.",
    ),
];

/// The variable of the environment for a setting.
pub fn variable(key: &str) -> String {
    format!("COLIS_{}", key.to_uppercase())
}

/// Names that are less alike are no misspelling of each other.
const NEAR: f64 = 0.5;

/// The setting called `key`.
pub(super) fn find(key: &str) -> Result<&'static Setting, ConfigError> {
    let unknown = || {
        let table = key.split('.').next().unwrap_or_default();
        if table == "peers" || table == "tls" {
            return ConfigError::OfOnePeer {
                name: key.to_owned(),
            };
        }
        let near = nearest_of(SETTINGS.iter().map(|setting| setting.key), key);
        ConfigError::Unknown {
            name: key.to_owned(),
            nearest: (strsim::normalized_levenshtein(near, key) > NEAR).then_some(near),
        }
    };
    SETTINGS
        .iter()
        .find(|setting| setting.key == key)
        .ok_or_else(unknown)
}

pub(super) fn nearest(key: &str) -> &'static str {
    let keys = SETTINGS.iter().map(|setting| setting.key);
    nearest_of(keys.chain(["peers", "tls"]), key)
}

/// The one of `known` that `key` may be a misspelling of.
pub(super) fn nearest_of(known: impl IntoIterator<Item = &'static str>, key: &str) -> &'static str {
    let known = known.into_iter();
    known
        .min_by_key(|known| strsim::levenshtein(known, key))
        .unwrap_or_default()
}

/// What the environment sets.
pub(super) fn from_environment(
    environment: impl Fn(&str) -> Option<OsString>,
) -> Result<Vec<(&'static Setting, toml::Value)>, ConfigError> {
    let mut set = Vec::new();
    for setting in &SETTINGS {
        let name = variable(setting.key);
        let Some(text) = environment(&name).filter(|text| !text.is_empty()) else {
            continue;
        };
        let failed = |fault| ConfigError::Value {
            name: name.clone(),
            fault,
        };
        let text = text
            .into_string()
            .map_err(|_| failed(ConfigFault::NotUtf8))?;
        set.push((setting, setting.value(&text).map_err(failed)?));
    }
    Ok(set)
}

/// A value that [`Setting::value`] made.
pub(super) fn given(value: &toml::Value) -> Given<'_> {
    match value {
        toml::Value::String(text) => Given::Text(text),
        toml::Value::Integer(number) => Given::Number(*number),
        toml::Value::Boolean(truth) => Given::Truth(*truth),
        other => Given::Other(other.type_str()),
    }
}

impl Setting {
    /// The words that it can be, if these are few.
    pub fn choices(&self) -> &'static [&'static str] {
        match self.key {
            "inbox" => &INBOX,
            "default_role" => &ROLES,
            "discovery" => &["true", "false"],
            _ => &[],
        }
    }

    /// A value to show.
    pub(super) fn shown(&self) -> &'static str {
        match self.default {
            Unset::Value(value) | Unset::Words { example: value, .. } => value,
        }
    }

    /// What stands for `text` in the file: numbers, true and false as they are, everything else as a string.
    pub(super) fn value(&self, text: &str) -> Result<toml::Value, ConfigFault> {
        if self.shown().starts_with('"') {
            return Ok(toml::Value::String(text.to_owned()));
        }
        if self.shown().parse::<bool>().is_ok() {
            let value = text.parse().map(toml::Value::Boolean);
            return value.map_err(|_| ConfigFault::NoTruth(text.to_owned()));
        }
        text.parse()
            .map(toml::Value::Integer)
            .map_err(|_| ConfigFault::NoNumber(text.to_owned()))
    }
}
