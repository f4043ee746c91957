//! The passphrase on the keys of a home: opening them, setting, changing and removing it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::LeaveError;
use crate::{
    crypto::password::Password,
    session::{Error, Home},
    store::LocalStore,
    tls::{self, Inspected},
};

/// A passphrase that was set, changed or removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangedPassphrase {
    /// The name of this peer.
    pub name: String,
    /// Whether the keys are under a passphrase now.
    pub set: bool,
    /// Whether they were before.
    pub before: bool,
    /// The names of the files that it covers.
    pub files: Vec<String>,
    /// Whether there is a key of scripts, which it does not cover.
    pub scripts: bool,
}

/// Opens the keys of `home`, which are under this passphrase, for this process. Takes a quarter of a second, and 64 MiB. Where they are under
/// none, nothing is done.
///
/// # Errors
/// Fails if it is the wrong one.
pub fn open_keys(home: &Home, passphrase: &Password) -> Result<(), Error> {
    let dir = home.dir();
    tls::finish_change(&dir)?;
    Ok(tls::unlock(&dir, passphrase)?)
}

/// Puts the circle's key, the identity key and the seal keys of `home` under `passphrase`. If they are under another one,
/// this process must have opened them. Whenever it is killed, all of them are under the old one or all under the new.
///
/// # Errors
/// Fails while a peer serves the home, if the keys are not open, or a file cannot be written.
pub fn set_passphrase(home: &Home, passphrase: &Password) -> Result<ChangedPassphrase, Error> {
    change(home, Some(passphrase))
}

/// Takes the passphrase off the keys of `home`, which this process must have opened.
///
/// # Errors
/// As [`set_passphrase`].
pub fn remove_passphrase(home: &Home) -> Result<ChangedPassphrase, Error> {
    change(home, None)
}

/// Fails while a peer serves `home`: it would not know the new passphrase.
///
/// # Errors
/// Fails then, and if there is no home.
pub fn check_not_served(home: &Home) -> Result<(), Error> {
    home.check_there()?;
    let holder = LocalStore::holder(&home.chunks());
    match holder.and_then(|holder| holder.serving) {
        Some(serving) => Err(LeaveError::Served { serving }.into()),
        None => Ok(()),
    }
}

fn change(home: &Home, new: Option<&Password>) -> Result<ChangedPassphrase, Error> {
    check_not_served(home)?;
    let dir = home.dir();
    let own = Inspected::peer(&dir).map_err(|error| home.explain(error))?;
    let before = tls::has_passphrase(&dir);
    let files = match (new, before) {
        (None, false) => Vec::new(),
        _ => tls::change_passphrase(&dir, new)?,
    };
    let name = |path: PathBuf| Some(path.file_name()?.to_string_lossy().into_owned());
    Ok(ChangedPassphrase {
        name: own.caller.name,
        set: new.is_some(),
        before,
        files: files.into_iter().filter_map(name).collect(),
        scripts: dir.client_key().exists(),
    })
}
