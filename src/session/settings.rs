//! The settings of a home: changed one by one, and read again by a peer that serves it.

use std::{
    env,
    ffi::OsString,
    path::Path,
    sync::{Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};

use super::{
    Error, Home, ServeRequest, peer_options, received::RECEIVED, serving::through_serving, store,
};
use crate::{
    client::PeerClient,
    config::{self, Config, ConfigError, Counts, SETTINGS, SetBy, Shown},
    peer::{Peer, PeerHandle},
    wire::ReloadBody,
};

/// Days of logs that are kept unless the settings say otherwise.
pub(crate) const LOG_DAYS: usize = 14;

/// When a setting that was changed counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Holds {
    /// From now on, in the peer that serves too.
    Now,
    /// From the next command and the next start on: nobody serves, or no peer needs it.
    Next,
    /// In the peer that serves when it is started again.
    AfterRestart,
    /// Not in the peer that serves, which was started with another value; or not at all, where a variable of the environment wins.
    Overruled,
    /// That is not known: the peer that serves could not be asked.
    Unknown,
}

/// A setting that was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangedSetting {
    /// Its name.
    pub key: String,
    /// The file.
    pub path: String,
    /// When it counts.
    pub holds: Holds,
    /// Why that is not known, if so.
    pub reason: Option<String>,
    /// The variable of this process that wins, if one does and nobody serves.
    pub variable: Option<String>,
}

/// Sets `key` to `value` in the settings of `home`, and has the peer that serves it take that in force.
///
/// # Errors
/// Fails if there is no such setting, the value cannot be used, nothing could be received where it says, or the file cannot be written.
pub async fn change_setting(home: &Home, key: &str, value: &str) -> Result<ChangedSetting, Error> {
    if key == RECEIVED {
        home.check_received(value)?;
    }
    config::set(&home.config(), key, value)?;
    in_force(home, key).await
}

/// Takes `key` out of the settings of `home`, so that its default holds, and has the peer that serves it take that in force. What is
/// not set is no error.
///
/// # Errors
/// Fails if there is no such setting, or the file cannot be used or written.
pub async fn take_back_setting(home: &Home, key: &str) -> Result<ChangedSetting, Error> {
    config::unset(&home.config(), key)?;
    in_force(home, key).await
}

/// When what the file says now of `key` counts.
async fn in_force(home: &Home, key: &str) -> Result<ChangedSetting, Error> {
    let path = home.config();
    if key == RECEIVED {
        // Who chooses a folder means that one, whatever is there now.
        home.forget_received();
    }
    let (holds, reason) = match counts_of(key) {
        Counts::NextCommand => (Holds::Next, None),
        Counts::AtOnce | Counts::AtStart => match ask(home, key).await {
            Ok(holds) => (holds, None),
            Err(error) => (Holds::Unknown, Some(error.to_string())),
        },
    };
    let variable = match holds {
        Holds::Next => overruling(&path, key)?,
        _ => None,
    };
    Ok(ChangedSetting {
        key: key.to_owned(),
        path: path.to_string_lossy().into_owned(),
        holds: variable.as_ref().map_or(holds, |_| Holds::Overruled),
        reason,
        variable,
    })
}

/// The variable of the environment that wins over the file at `path`.
fn overruling(path: &Path, key: &str) -> Result<Option<String>, Error> {
    // One that cannot be used is said by whatever uses it.
    let all = Shown::all(path, |name| env::var_os(name)).unwrap_or_default();
    let set = all.into_iter().find(|one| one.key == key);
    Ok(set.and_then(|one| match one.origin {
        SetBy::Environment(variable) => Some(variable),
        _ => None,
    }))
}

/// Has the peer that serves `home` read its settings again, if one does.
async fn ask(home: &Home, key: &str) -> Result<Holds, Error> {
    let config = Config::default();
    let ask = |peer: PeerClient| async move {
        let read = peer.reload().await?;
        let has = |keys: &[String]| keys.iter().any(|known| known == key);
        Ok(match () {
            () if !read.settings || has(&read.overruled) => Holds::Overruled,
            () if has(&read.restart) => Holds::AfterRestart,
            () => Holds::Now,
        })
    };
    through_serving(
        || store::serving(home, &config),
        ask,
        || async { Ok(Holds::Next) },
    )
    .await
}

/// What is said of single peers counts as the inbox does.
fn counts_of(key: &str) -> Counts {
    let setting = SETTINGS.iter().find(|setting| setting.key == key);
    setting.map_or(Counts::AtOnce, |setting| setting.counts)
}

/// The settings that a peer was started with, which it reads again while it serves.
pub struct ServedSettings {
    home: Home,
    request: ServeRequest,
    environment: fn(&str) -> Option<OsString>,
    peer: PeerHandle,
    keep_logs: Box<dyn Fn(usize) + Send + Sync>,
    /// As they were when the peer was started.
    started: Vec<Shown>,
    read: Mutex<Read>,
}

/// Settings as they were read last.
struct Read {
    /// With what the environment says.
    now: Vec<Shown>,
    /// In the file alone.
    in_file: Vec<Shown>,
}

impl Read {
    fn of(
        path: &Path,
        environment: impl Fn(&str) -> Option<OsString> + Copy,
    ) -> Result<Self, ConfigError> {
        Ok(Self {
            now: Shown::all(path, environment)?,
            in_file: Shown::all(path, |_| None)?,
        })
    }
}

impl ServedSettings {
    /// Has `peer` read the settings of `home` again when its owner asks for that. What `request` and `environment` say wins, as it did
    /// at its start. `keep_logs` is told how many days of logs are to be kept.
    ///
    /// # Errors
    /// Fails if the settings cannot be used.
    pub fn attach(
        peer: &Peer,
        home: &Home,
        request: ServeRequest,
        environment: fn(&str) -> Option<OsString>,
        keep_logs: impl Fn(usize) + Send + Sync + 'static,
    ) -> Result<(), Error> {
        let read = Read::of(&home.config(), environment)?;
        let settings = Self {
            home: home.clone(),
            request,
            environment,
            peer: peer.handle(),
            keep_logs: Box::new(keep_logs),
            started: read.now.clone(),
            read: Mutex::new(read),
        };
        peer.reload_with(move || settings.reload());
        Ok(())
    }

    /// Takes in force what may change while the peer serves, and says what may not.
    fn reload(&self) -> Result<ReloadBody, String> {
        let (read, is_new) = self.read_again().inspect_err(|error| {
            let error = crate::name::Escaped::new(error).to_string();
            tracing::error!(error, "settings unchanged: what is on disk cannot be used");
        })?;
        // What was said of an earlier change is not said again.
        let list = |keys: &[String]| {
            let new: Vec<_> = keys.iter().filter(|key| is_new.contains(key)).collect();
            let new: Vec<_> = new.into_iter().map(String::as_str).collect();
            (!new.is_empty()).then(|| new.join(", "))
        };
        if let Some(changed) = list(&read.changed) {
            tracing::info!(changed, "settings read again");
        }
        if let Some(settings) = list(&read.restart) {
            tracing::warn!(
                settings,
                "these settings count when this peer is started again"
            );
        }
        if let Some(settings) = list(&read.overruled) {
            tracing::warn!(
                settings,
                "this peer was started with others, which win over the file"
            );
        }
        Ok(read)
    }

    /// What became of the settings, and those that were changed since they were read last, whether that counts or not.
    fn read_again(&self) -> Result<(ReloadBody, Vec<String>), String> {
        let path = self.home.config();
        let said = |error: &dyn std::fmt::Display| error.to_string();
        let config = Config::load(&path, self.environment).map_err(|e| said(&e))?;
        let read = Read::of(&path, self.environment).map_err(|e| said(&e))?;
        let options = peer_options(&self.home, &config, &self.request);
        self.peer.adjust(&options).map_err(|e| said(&e))?;
        (self.keep_logs)(config.log_days.unwrap_or(LOG_DAYS));
        let mut before = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let flags = self.request.flags();
        let by_flag = |key: &str| flags.contains(&key);
        let changed = |old: &[Shown], counts: Counts| {
            let mut keys = differing(old, &read.now);
            keys.retain(|key| counts_of(key) == counts && !by_flag(key));
            keys
        };
        let is_new = differing(&before.in_file, &read.in_file);
        let body = ReloadBody {
            settings: true,
            changed: changed(&before.now, Counts::AtOnce),
            restart: changed(&self.started, Counts::AtStart),
            overruled: overruled(&read, &is_new, by_flag),
        };
        *before = read;
        Ok((body, is_new))
    }
}

/// The names of what has another value in `new` than in `old`.
fn differing(old: &[Shown], new: &[Shown]) -> Vec<String> {
    let has = |all: &[Shown], one: &Shown| {
        let mut same = all.iter().filter(|other| other.key == one.key);
        same.any(|other| other.value == one.value)
    };
    let mut keys: Vec<_> = new.iter().filter(|one| !has(old, one)).collect();
    keys.extend(old.iter().filter(|one| !has(new, one)));
    let mut keys: Vec<_> = keys.into_iter().map(|one| one.key.clone()).collect();
    keys.sort();
    keys.dedup();
    keys
}

/// The names of what the file sets, or has just ceased to set, and a flag or the environment sets otherwise.
fn overruled(read: &Read, is_new: &[String], by_flag: impl Fn(&str) -> bool) -> Vec<String> {
    let set = read
        .in_file
        .iter()
        .filter(|one| matches!(one.origin, SetBy::File(_)) || is_new.contains(&one.key));
    let wins = |one: &&Shown| {
        let in_force = read.now.iter().find(|now| now.key == one.key);
        by_flag(&one.key) || in_force.is_some_and(|now| now.value != one.value)
    };
    set.filter(wins).map(|one| one.key.clone()).collect()
}
