//! Reading settings. Each key and value of the file has its place in the text, so that an error says where it stands.

use std::{env, num::NonZeroUsize, ops::Range, path::PathBuf, str::FromStr};

use serde::{
    Deserialize,
    de::{IntoDeserializer as _, value::Error},
};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{Config, ConfigFault, PeerSettings, settings, units::SizeText};
use crate::{
    address::parse_listen,
    manifest::check_chunk_size,
    name::LibraryError,
    tls::OutsideOptions,
    trust::{self, Allowed},
};

pub(super) const INBOX: [&str; 3] = ["auto", "ask", "off"];
pub(super) const ROLES: [&str; 5] = ["member", "sender", "reader", "monitor", "none"];
const OF_PEER: [&str; 2] = ["inbox", "auto_up_to"];
const OF_TLS: [&str; 5] = ["ca", "cert", "key", "crl", "allowed"];
/// Chunks in flight.
const MAX_JOBS: usize = 64;

/// A value that is to be set.
#[derive(Debug, Clone, Copy)]
pub(super) enum Given<'a> {
    Text(&'a str),
    Number(i64),
    Truth(bool),
    /// Of a type that no setting has.
    Other(&'static str),
}

/// A fault, and the bytes of the text where it stands.
pub(super) type At = (Range<usize>, ConfigFault);

/// Reads a file.
pub(super) fn parse(text: &str) -> Result<Config, At> {
    let table = DeTable::parse(text).map_err(|error| {
        let cause = LibraryError::new(error.message().trim_end());
        (error.span().unwrap_or(0..0), ConfigFault::Syntax(cause))
    })?;
    let mut config = Config::default();
    // The first fault in the text is the one to tell.
    let mut set: Vec<_> = table.get_ref().iter().collect();
    set.sort_by_key(|(key, _)| key.span().start);
    for (key, value) in set {
        match key.get_ref().as_ref() {
            "peers" => take_peers(&mut config, text, value)?,
            "tls" => config.tls = Some(outside(value)?),
            name => {
                let taken = config.take(name, Given::of(value.get_ref()));
                taken.map_err(|fault| at(fault, key, value))?;
            }
        }
    }
    Ok(config)
}

fn at<K>(fault: ConfigFault, key: &Spanned<K>, value: &Spanned<DeValue<'_>>) -> At {
    match fault.is_of_key() {
        true => (key.span(), fault),
        false => (value.span(), fault),
    }
}

fn take_peers(config: &mut Config, text: &str, value: &Spanned<DeValue<'_>>) -> Result<(), At> {
    for (name, value) in table(value)? {
        if !trust::is_peer_name(name.get_ref()) {
            return Err((unquoted(text, name.span()), ConfigFault::PeerName));
        }
        let mut settings = PeerSettings::default();
        for (key, value) in table(value)? {
            let taken = settings.take(key.get_ref(), Given::of(value.get_ref()));
            taken.map_err(|fault| at(fault, key, value))?;
        }
        config.peers.insert(name.get_ref().to_string(), settings);
    }
    Ok(())
}

/// What the table of an outside authority says.
fn outside(value: &Spanned<DeValue<'_>>) -> Result<OutsideOptions, At> {
    let mut options = OutsideOptions::default();
    for (key, value) in table(value)? {
        let path = || {
            let path = Given::of(value.get_ref()).text().and_then(folder);
            path.map(Some).map_err(|fault| at(fault, key, value))
        };
        match key.get_ref().as_ref() {
            "ca" => options.ca = path()?,
            "cert" => options.cert = path()?,
            "key" => options.key = path()?,
            "crl" => options.crl = path()?,
            "allowed" => options.allowed = allowed(value)?,
            name => {
                let fault = unknown(name, settings::nearest_of(OF_TLS, name));
                return Err(at(fault, key, value));
            }
        }
    }
    Ok(options)
}

fn allowed(value: &Spanned<DeValue<'_>>) -> Result<Vec<Allowed>, At> {
    let DeValue::Array(all) = value.get_ref() else {
        let fault = Given::of(value.get_ref()).wrong("a list of strings");
        return Err((value.span(), fault));
    };
    let one = |value: &Spanned<DeValue<'_>>| {
        let parsed = Given::of(value.get_ref()).parsed();
        parsed.map_err(|fault| (value.span(), fault))
    };
    all.iter().map(one).collect()
}

/// The place of a key without its quotes.
fn unquoted(text: &str, span: Range<usize>) -> Range<usize> {
    let is_quoted = text
        .get(span.clone())
        .is_some_and(|key| key.starts_with(['"', '\'']));
    span.start + usize::from(is_quoted)..span.end
}

fn table<'a, 'i>(value: &'a Spanned<DeValue<'i>>) -> Result<&'a DeTable<'i>, At> {
    match value.get_ref() {
        DeValue::Table(table) => Ok(table),
        other => Err((value.span(), Given::of(other).wrong("a table"))),
    }
}

impl Config {
    /// Sets one setting that is not of a peer.
    pub(super) fn take(&mut self, key: &str, given: Given<'_>) -> Result<(), ConfigFault> {
        match key {
            "listen" => self.listen = Some(parse_listen(given.text()?)?),
            "inbox" => self.inbox = Some(given.word(&INBOX)?),
            "received" => self.received = Some(folder(given.text()?)?),
            "auto_up_to" => self.auto_up_to = Some(given.parsed()?),
            "keep_opened" => self.keep_opened = Some(given.parsed()?),
            "keep_refused" => self.keep_refused = Some(given.parsed()?),
            "quota" => self.quota = Some(given.parsed()?),
            "relay_quota" => self.relay_quota = Some(given.parsed()?),
            "relay_keep" => self.relay_keep = Some(given.parsed()?),
            "collect" => self.collect = Some(given.parsed()?),
            "reserve" => self.reserve = Some(given.parsed()?),
            "chunk_size" => self.chunk_size = Some(chunk_size(given.parsed()?)?),
            "jobs" => self.jobs = Some(jobs(given)?),
            "limit" => self.limit = Some(limit(given.parsed()?)?),
            "log_days" => self.log_days = Some(given.number("a number from 0")?),
            "default_role" => self.default_role = Some(given.word(&ROLES)?),
            "discovery" => self.discovery = Some(given.truth()?),
            key => return Err(unknown(key, settings::nearest(key))),
        }
        Ok(())
    }
}

impl PeerSettings {
    fn take(&mut self, key: &str, given: Given<'_>) -> Result<(), ConfigFault> {
        match key {
            "inbox" => self.inbox = Some(given.word(&INBOX)?),
            "auto_up_to" => self.auto_up_to = Some(given.parsed()?),
            key => return Err(unknown(key, settings::nearest_of(OF_PEER, key))),
        }
        Ok(())
    }
}

fn unknown(key: &str, nearest: &'static str) -> ConfigFault {
    let key = key.to_owned();
    ConfigFault::UnknownKey { key, nearest }
}

/// A folder as it is typed, with what `~` stands for.
///
/// # Errors
/// [`ConfigFault::NoFolder`].
pub fn folder(text: &str) -> Result<PathBuf, ConfigFault> {
    let user = |below: &str| {
        let user = env::home_dir().filter(|user| user.is_absolute());
        user.map(|user| user.join(below))
            .ok_or(ConfigFault::NoFolder)
    };
    match text.strip_prefix('~') {
        Some("") => user(""),
        Some(below) if below.starts_with('/') => user(below.trim_start_matches('/')),
        None if !text.is_empty() && !text.contains('\0') => Ok(text.into()),
        _ => Err(ConfigFault::NoFolder),
    }
}

fn chunk_size(size: SizeText) -> Result<SizeText, ConfigFault> {
    let is_one = u32::try_from(size.bytes()).is_ok_and(|n| check_chunk_size(n).is_ok());
    is_one.then_some(size).ok_or(ConfigFault::ChunkSize)
}

fn limit(limit: SizeText) -> Result<SizeText, ConfigFault> {
    let moves = limit.bytes() > 0;
    moves.then_some(limit).ok_or(ConfigFault::NoLimit)
}

fn jobs(given: Given<'_>) -> Result<NonZeroUsize, ConfigFault> {
    let jobs: NonZeroUsize = given.number("a number from 1")?;
    match jobs.get() <= MAX_JOBS {
        true => Ok(jobs),
        false => Err(ConfigFault::TooManyJobs { most: MAX_JOBS }),
    }
}

impl<'a> Given<'a> {
    fn of(value: &'a DeValue<'_>) -> Self {
        match value {
            DeValue::String(text) => Self::Text(text),
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .map_or(Self::Other("integer of more than 64 bits"), Self::Number),
            DeValue::Boolean(truth) => Self::Truth(*truth),
            DeValue::Float(_) => Self::Other("float"),
            DeValue::Datetime(_) => Self::Other("date"),
            DeValue::Array(_) => Self::Other("array"),
            DeValue::Table(_) => Self::Other("table"),
        }
    }

    fn text(self) -> Result<&'a str, ConfigFault> {
        match self {
            Self::Text(text) => Ok(text),
            other => Err(other.wrong("a string")),
        }
    }

    fn parsed<T: FromStr>(self) -> Result<T, ConfigFault>
    where
        ConfigFault: From<T::Err>,
    {
        Ok(self.text()?.parse()?)
    }

    /// One of the `known` words, which are those of `T`.
    fn word<T: Deserialize<'a>>(self, known: &'static [&'static str]) -> Result<T, ConfigFault> {
        let word = self.text()?;
        let parsed: Result<T, Error> = T::deserialize(word.into_deserializer());
        parsed.map_err(|_| ConfigFault::UnknownWord {
            word: word.to_owned(),
            known,
        })
    }

    fn number<T: TryFrom<usize>>(self, expected: &'static str) -> Result<T, ConfigFault> {
        let Self::Number(found) = self else {
            return Err(self.wrong(expected));
        };
        let number = usize::try_from(found).ok().map(T::try_from);
        match number {
            Some(Ok(number)) => Ok(number),
            _ => Err(ConfigFault::OutOfRange { found, expected }),
        }
    }

    fn truth(self) -> Result<bool, ConfigFault> {
        match self {
            Self::Truth(truth) => Ok(truth),
            other => Err(other.wrong("a boolean")),
        }
    }

    fn wrong(self, expected: &'static str) -> ConfigFault {
        let found = match self {
            Self::Text(text) => format!("string {text:?}"),
            Self::Number(number) => format!("integer `{number}`"),
            Self::Truth(truth) => format!("boolean `{truth}`"),
            Self::Other(kind) => kind.to_owned(),
        };
        ConfigFault::WrongType { found, expected }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{InboxSetting, SETTINGS};

    #[test]
    fn every_known_word_is_one_and_no_other() {
        for word in INBOX {
            assert!(
                Given::Text(word).word::<InboxSetting>(&INBOX).is_ok(),
                "{word}"
            );
        }
        for word in ROLES {
            let role: trust::Role = Given::Text(word).word(&ROLES).unwrap();
            assert_eq!(role.to_string(), word);
        }
        assert!(Given::Text("guest").word::<trust::Role>(&ROLES).is_err());
    }

    #[test]
    fn every_setting_of_the_table_is_one_of_the_file() {
        let lines = SETTINGS.map(|setting| format!("{} = {}\n", setting.key, setting.shown()));
        let text = lines.concat()
            + "[peers.ben]\ninbox = \"ask\"\nauto_up_to = \"1GiB\"\n\
               [tls]\nca = \"/ca\"\ncert = \"c\"\nkey = \"k\"\ncrl = \"l\"\nallowed = [\"ben.example.org\"]\n";
        // A new field does not compile here until it is looked at, and fails until the table has it.
        let Config {
            listen,
            inbox,
            received,
            auto_up_to,
            keep_opened,
            keep_refused,
            quota,
            relay_quota,
            relay_keep,
            collect,
            reserve,
            chunk_size,
            jobs,
            limit,
            log_days,
            default_role,
            discovery,
            peers,
            tls,
        } = parse(&text).unwrap();
        let sizes = [auto_up_to, quota, relay_quota, reserve, chunk_size, limit];
        assert!(sizes.iter().all(Option::is_some), "{sizes:?}");
        assert!(
            [keep_opened, keep_refused, relay_keep, collect]
                .iter()
                .all(Option::is_some)
        );
        assert!(listen.is_some() && inbox.is_some() && jobs.is_some() && log_days.is_some());
        assert!(default_role.is_some() && discovery.is_some() && received.is_some());
        let ben = peers["ben"];
        assert!(ben.inbox.is_some() && ben.auto_up_to.is_some());
        let tls = tls.unwrap();
        let files = [&tls.ca, &tls.cert, &tls.key, &tls.crl];
        assert!(files.iter().all(|file| file.is_some()));
        assert_eq!(tls.allowed, [Allowed::Name("ben.example.org".into())]);
    }

    /// Where the fault of a text stands, and what it is.
    fn found(text: &str) -> (usize, String) {
        let (span, fault) = parse(text).unwrap_err();
        (span.start, fault.to_string())
    }

    #[test]
    fn what_is_wrong_with_the_table_of_an_outside_authority_is_told_with_its_place() {
        for (text, at, said) in [
            (
                "[tls]\ncrt = \"x\"",
                6,
                "unknown key `crt`; did you mean `cert`?",
            ),
            (
                "[tls]\nallowed = \"x\"",
                16,
                "invalid type: string \"x\", expected a list of strings",
            ),
            (
                "[tls]\nallowed = [\"a.b\", \"*.b\"]",
                24,
                "\"*.b\" says nobody: a peer id of 64 digits, or a DNS name as certificates have it, without `*`",
            ),
        ] {
            assert_eq!(found(text), (at, said.to_owned()), "{text}");
        }
    }

    #[test]
    fn a_value_of_another_type_is_told_with_its_place() {
        for (text, at, said) in [
            (
                "jobs = \"3\"",
                7,
                "invalid type: string \"3\", expected a number from 1",
            ),
            (
                "jobs = -1",
                7,
                "invalid value: integer `-1`, expected a number from 1",
            ),
            ("jobs = 65", 0, "at most 64 chunks in flight"),
            (
                "quota = 5",
                8,
                "invalid type: integer `5`, expected a string",
            ),
            ("inbox = [1]", 8, "invalid type: array, expected a string"),
            (
                "discovery = 1",
                12,
                "invalid type: integer `1`, expected a boolean",
            ),
            (
                "peers = 1",
                8,
                "invalid type: integer `1`, expected a table",
            ),
            (
                "[peers]\nben = 1",
                14,
                "invalid type: integer `1`, expected a table",
            ),
            (
                "[peers.ben]\ninbux = 1",
                12,
                "unknown key `inbux`; did you mean `inbox`?",
            ),
            (
                "[peers.ben]\njobs = 1",
                12,
                "unknown key `jobs`; did you mean `inbox`?",
            ),
            (
                "limit = \"0\"",
                0,
                "a limit of 0 would move nothing; leave the line out for none",
            ),
        ] {
            assert_eq!(found(text), (at, said.to_owned()), "{text}");
        }
    }
}
