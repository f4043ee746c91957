//! Where each value comes from.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{Config, ConfigError, SETTINGS, Unset, read, settings, variable};
use crate::name::path_as_text;

/// Who set a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "from", content = "where")]
pub enum SetBy {
    /// Nobody.
    Default,
    /// The file.
    File(#[serde(serialize_with = "path_as_text")] PathBuf),
    /// A variable of the environment.
    Environment(String),
}

/// A setting with its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// Its name; with a dot for what is different for one peer.
    pub key: String,
    /// Its value as the file would have it, if it has one.
    pub value: Option<String>,
    /// What holds without a value, in words.
    #[serde(skip)]
    pub holds: &'static str,
    /// Who set it.
    #[serde(flatten)]
    pub origin: SetBy,
}

impl Shown {
    /// Every setting of the file at `path` and the environment.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn all(
        path: &Path,
        environment: impl Fn(&str) -> Option<OsString> + Copy,
    ) -> Result<Vec<Self>, ConfigError> {
        Config::load(path, environment)?;
        let file: toml::Table = toml::from_str(&read(path)?).unwrap_or_default();
        let environment = settings::from_environment(environment)?;
        let mut all = Vec::new();
        for setting in &SETTINGS {
            let set = environment.iter().find(|(known, _)| *known == setting);
            let (value, origin) = match (set, file.get(setting.key)) {
                (Some((_, value)), _) => {
                    let origin = SetBy::Environment(variable(setting.key));
                    (Some(value.to_string()), origin)
                }
                (None, Some(value)) => (Some(value.to_string()), SetBy::File(path.to_owned())),
                (None, None) => match setting.default {
                    Unset::Value(value) => (Some(value.to_owned()), SetBy::Default),
                    Unset::Words { .. } => (None, SetBy::Default),
                },
            };
            let holds = match setting.default {
                Unset::Words { holds, .. } => holds,
                Unset::Value(_) => "",
            };
            let key = setting.key.to_owned();
            all.push(Self {
                key,
                value,
                holds,
                origin,
            });
        }
        all.extend(of_peers(&file, path));
        all.extend(of_table("tls", file.get("tls"), path));
        Ok(all)
    }
}

fn of_peers(file: &toml::Table, path: &Path) -> Vec<Shown> {
    let peers = file.get("peers").and_then(toml::Value::as_table);
    let peers = peers.into_iter().flatten();
    let shown = peers.map(|(name, table)| of_table(&format!("peers.{name}"), Some(table), path));
    shown.flatten().collect()
}

/// What stands in the table called `name`.
fn of_table(name: &str, table: Option<&toml::Value>, path: &Path) -> Vec<Shown> {
    let settings = table.and_then(toml::Value::as_table).into_iter().flatten();
    let shown = settings.map(|(key, value)| Shown {
        key: format!("{name}.{key}"),
        value: Some(value.to_string()),
        holds: "",
        origin: SetBy::File(path.to_owned()),
    });
    shown.collect()
}
