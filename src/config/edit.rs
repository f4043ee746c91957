//! Writing the file: the template, and one setting without touching the rest.

use std::{fmt::Write as _, io, os::unix::fs::MetadataExt as _, path::Path};

use toml::de::DeTable;

use super::{Config, ConfigError, SETTINGS, Setting, Unset, read, settings};
use crate::trust::write_durably;

/// A file with every setting, its default or an example, and what it is for. All are comments: it changes nothing.
pub fn template() -> String {
    let mut text = String::from(
        "# colis.toml: the settings of this peer. Flags win over COLIS_* variables, which win over this file.\n\
         # A line that begins with # is a comment; remove the # to set something.\n",
    );
    for setting in &SETTINGS {
        text.push('\n');
        for line in setting.about.lines() {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "# {line}");
        }
        if let Unset::Words { holds, .. } = setting.default {
            let _ = writeln!(text, "# Unless it is set: {holds}. For example:");
        }
        let _ = writeln!(text, "# {} = {}", setting.key, setting.shown());
    }
    text.push_str(
        "\n# What is different for one sender, by its name.\n\
         # [peers.ben]\n\
         # inbox = \"ask\"\n\
         # auto_up_to = \"100MiB\"\n\
         \n# For an outside authority (docs/own-authority.md): who of those that it has signed for is a member, by peer ids and DNS\n\
         # names; and its files, where they are not those of certs/.\n\
         # [tls]\n\
         # allowed = [\"ben.example.org\"]\n\
         # crl = \"/etc/pki/crl.pem\"\n",
    );
    text
}

/// Sets `key` to `text` in the file at `path`, and keeps every other line. A file that is wrong is not touched.
///
/// # Errors
/// [`ConfigError`].
pub fn set(path: &Path, key: &str, text: &str) -> Result<(), ConfigError> {
    let setting = settings::find(key)?;
    let failed = |fault| ConfigError::Value {
        name: key.to_owned(),
        fault,
    };
    let value = setting.value(text).map_err(failed)?;
    let old = read(path)?;
    let mut config = Config::parse(&old, path)?;
    let taken = config.take(key, settings::given(&value));
    taken.map_err(failed)?;
    let base = if old.is_empty() { template() } else { old };
    let value = value.to_string();
    let new = replace_value(&base, setting, &value)
        .unwrap_or_else(|| replace_line(&base, setting, &value));
    Config::parse(&new, path)?;
    write(path, &new).map_err(|source| ConfigError::Io {
        path: path.to_owned(),
        source,
    })
}

/// Takes `key` out of the file at `path`, so that the default holds, and keeps every other line. Gives whether it was set there.
/// A file that is wrong is not touched.
///
/// # Errors
/// [`ConfigError`].
pub fn unset(path: &Path, key: &str) -> Result<bool, ConfigError> {
    let setting = settings::find(key)?;
    let old = read(path)?;
    Config::parse(&old, path)?;
    let Some(new) = comment_out(&old, setting) else {
        return Ok(false);
    };
    Config::parse(&new, path)?;
    let written = write(path, &new).map_err(|source| ConfigError::Io {
        path: path.to_owned(),
        source,
    });
    written.map(|()| true)
}

/// Writes the file that `path` leads to, which others may keep elsewhere, with the mode that it has. A mode without the
/// owner's right to write says that it is not to be changed.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let is_new = path
        .symlink_metadata()
        .is_err_and(|e| e.kind() == io::ErrorKind::NotFound);
    if is_new {
        return write_durably(path, text.as_bytes(), 0o600);
    }
    let file = path.canonicalize()?;
    let mode = file.metadata()?.mode() & 0o7777;
    if mode & 0o200 == 0 {
        let reason = format!("it may not be changed (mode {mode:03o}): chmod u+w");
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, reason));
    }
    write_durably(&file, text.as_bytes(), mode)
}

/// The text with another value, if it sets one: what stands before and after the value stays.
fn replace_value(text: &str, setting: &Setting, value: &str) -> Option<String> {
    let table = DeTable::parse(text).ok()?;
    let place = table.get_ref().get(setting.key)?.span();
    let (before, after) = (text.get(..place.start)?, text.get(place.end..)?);
    Some(format!("{before}{value}{after}"))
}

/// The text with the comment of the template where it sets it, if it does: what stands behind the value stays.
fn comment_out(text: &str, setting: &Setting) -> Option<String> {
    let table = DeTable::parse(text).ok()?;
    let (key, value) = table.get_ref().get_key_value(setting.key)?;
    let before = text.get(..key.span().start)?;
    let after = text.get(value.span().end..)?;
    let comment = format!("# {} = {}", setting.key, setting.shown());
    Some(format!("{before}{comment}{after}"))
}

/// A line that sets it, in the place of the comment about it or before the first table.
fn replace_line(text: &str, setting: &Setting, value: &str) -> String {
    let line = format!("{} = {value}", setting.key);
    let mut lines: Vec<&str> = text.lines().collect();
    let top = lines
        .iter()
        .position(|line| line.trim_start().starts_with('['))
        .unwrap_or(lines.len());
    let sets = |line: &str| {
        let rest = line.trim_start().strip_prefix(setting.key);
        rest.is_some_and(|rest| rest.trim_start().starts_with('='))
    };
    let is_comment = |line: &&str| line.strip_prefix('#').is_some_and(sets);
    let place = lines[..top].iter().position(is_comment);
    match place {
        Some(place) => lines[place] = &line,
        None => lines.insert(top, &line),
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_template_changes_nothing_and_each_of_its_lines_can_be_used() {
        let none = Config::parse(&template(), Path::new("colis.toml")).unwrap();
        assert_eq!(none, Config::default());
        let sets = |line: &&str| {
            let key = line.split(" = ").next().unwrap_or_default();
            line.starts_with('[') || SETTINGS.iter().any(|setting| setting.key == key)
        };
        let text = template();
        let lines = text
            .lines()
            .filter_map(|line| line.strip_prefix("# "))
            .filter(sets);
        let settings = lines.collect::<Vec<_>>().join("\n");
        let all = Config::parse(&settings, Path::new("colis.toml")).unwrap();
        assert_eq!(all.peers.len(), 1);
        assert!(all.limit.is_some() && all.listen.is_some());
        // An example is not said to be the default.
        assert!(text.contains("# Unless it is set: what the disk has. For example:\n# quota = "));
        assert!(text.contains("waits for\n# `colis inbox accept`"));
        assert_eq!(text.matches("For example:").count(), 8);
    }

    #[test]
    fn a_setting_is_set_and_everything_else_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("colis.toml");
        set(&path, "inbox", "ask").unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains("\ninbox = \"ask\"\n") && text.contains("# jobs = 4"));
        fs::write(
            &path,
            "# mine\njobs = 2 # few\n\n[peers.ben]\ninbox = \"off\"\n",
        )
        .unwrap();
        set(&path, "jobs", "3").unwrap();
        set(&path, "inbox", "auto").unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(
            text,
            "# mine\njobs = 3 # few\n\ninbox = \"auto\"\n[peers.ben]\ninbox = \"off\"\n"
        );
        for (key, value) in [
            ("jobs", "x"),
            ("jobs", "0"),
            ("inbox", "never"),
            ("qouta", "1"),
        ] {
            assert!(set(&path, key, value).is_err(), "{key} = {value}");
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), text, "nothing changed");
    }

    #[test]
    fn a_setting_is_taken_back_and_everything_else_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("colis.toml");
        assert!(!unset(&path, "inbox").unwrap() && !path.exists());
        set(&path, "inbox", "ask").unwrap();
        assert!(unset(&path, "inbox").unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), template());
        assert!(!unset(&path, "inbox").unwrap());
        let text = "\"jobs\"=2 # few\n quota = '''\n1GiB'''\n\n[peers.ben]\ninbox = \"off\"\n";
        fs::write(&path, text).unwrap();
        assert!(
            !unset(&path, "inbox").unwrap(),
            "the one of a peer is another"
        );
        assert!(unset(&path, "quota").unwrap() && unset(&path, "jobs").unwrap());
        let left = "# jobs = 4 # few\n # quota = \"100GiB\"\n\n[peers.ben]\ninbox = \"off\"\n";
        assert_eq!(fs::read_to_string(&path).unwrap(), left);
        for wrong in ["qouta", "peers.ben.inbox"] {
            assert!(unset(&path, wrong).is_err(), "{wrong}");
        }
    }
}
