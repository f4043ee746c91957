//! A service of systemd that serves a home: its unit is written, given as text, or removed.

mod error;
mod unit;

use std::{
    ffi::OsString,
    fs, io,
    net::SocketAddr,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use super::{Error, Home, platform_folder};
use crate::{tls::Identity, trust::write_durably};
use unit::{Unit, check_ours};

pub use error::UnitError;

/// The name of the credential of systemd that has the passphrase of the keys.
pub const CREDENTIAL: &str = "colis-key-passphrase";

/// What a service starts, and how it is called.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ServiceRequest {
    /// The name of the unit, without `.service`.
    pub unit: String,
    /// The program. It takes the home by `--home`, and tells systemd when it is ready, as `sd_notify(3)` says.
    pub program: PathBuf,
    /// What it is given after `--home HOME`.
    pub arguments: Vec<String>,
    /// The variables that are set for it.
    pub environment: Vec<(String, OsString)>,
    /// Where it will listen.
    pub listen: SocketAddr,
    /// The folder of received files, if it is not in the home.
    pub received: Option<PathBuf>,
    /// The file with the passphrase of the keys, if they are under one: systemd gives it to the program as the credential
    /// [`CREDENTIAL`].
    pub passphrase: Option<PathBuf>,
}

impl ServiceRequest {
    /// The service `unit` starts `program`, which will listen there.
    pub fn new(unit: impl Into<String>, program: impl Into<PathBuf>, listen: SocketAddr) -> Self {
        Self {
            unit: unit.into(),
            program: program.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            listen,
            received: None,
            passphrase: None,
        }
    }
}

/// Whose service manager runs a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    User,
    /// The unit serves as this account, by its number.
    System {
        account: u32,
    },
}

/// A unit for the whole system.
#[derive(Debug, Clone)]
pub struct SystemUnit {
    /// What is to be in its file.
    pub text: String,
    /// The number of the account that it serves as: the owner of the home, who alone reads the keys.
    pub account: u32,
}

/// Writes the unit of this user that serves `home`. Returns its file.
///
/// # Errors
/// Fails if `home` has no identity, something cannot be said in a unit, or the file has another unit or cannot be written.
pub fn install(home: &Home, service: &ServiceRequest) -> Result<PathBuf, Error> {
    let text = text(home, service, Owner::User)?;
    let path = path_of(&service.unit)?;
    check_ours(&path, &whole(home)?)?;
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
    }
    write_durably(&path, text.as_bytes(), 0o644).map_err(|e| Error::io(&path, e))?;
    Ok(path)
}

/// A unit for the whole system that serves `home` as the account that owns it. Only an administrator writes where it belongs.
///
/// # Errors
/// Fails if `home` has no identity, or something cannot be said in a unit.
pub fn system_unit(home: &Home, service: &ServiceRequest) -> Result<SystemUnit, Error> {
    let metadata = fs::metadata(home.root()).map_err(|e| Error::io(home.root(), e))?;
    let account = metadata.uid();
    let text = text(home, service, Owner::System { account })?;
    Ok(SystemUnit { text, account })
}

/// What was removed of a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RemovedUnit {
    /// Where its file was.
    pub path: PathBuf,
    /// Where the link was by which `systemctl enable` has it started at every login, if there was one.
    pub link: Option<PathBuf>,
}

/// Removes the unit of this user that serves `home`, and the link that starts it at every login. The home stays, and so does a
/// service that runs.
///
/// # Errors
/// Fails if there is none, or it serves another home.
pub fn uninstall(home: &Home, unit: &str) -> Result<RemovedUnit, Error> {
    let path = path_of(unit)?;
    check_ours(&path, &whole(home)?)?;
    match fs::remove_file(&path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(UnitError::NotThere(path).into());
        }
        Err(error) => return Err(Error::io(&path, error)),
    }
    // It leads nowhere now, and `systemctl disable` does not know the unit any more.
    let link = path.with_file_name(unit::WANTED_BY_USER.to_owned() + ".wants");
    let link = link.join(format!("{unit}.service"));
    if !link.is_symlink() {
        return Ok(RemovedUnit { path, link: None });
    }
    fs::remove_file(&link).map_err(|e| Error::io(&link, e))?;
    let link = Some(link);
    Ok(RemovedUnit { path, link })
}

fn text(home: &Home, service: &ServiceRequest, owner: Owner) -> Result<String, Error> {
    // What would not serve by hand does not serve by systemd either, which only says so in its journal.
    Identity::load_or_closed(&home.dir())?;
    let home = &whole(home)?;
    let unit = Unit {
        owner,
        home,
        service,
    };
    Ok(unit.text()?)
}

/// Fails for what is no name of a unit of ours.
///
/// # Errors
/// [`UnitError::BadName`].
pub fn check_name(unit: &str) -> Result<(), UnitError> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    match !unit.is_empty() && unit.len() <= 64 && unit.chars().all(is_plain) {
        true => Ok(()),
        false => Err(UnitError::BadName),
    }
}

/// Where the unit of this user belongs.
fn path_of(unit: &str) -> Result<PathBuf, UnitError> {
    check_name(unit)?;
    let config = platform_folder("XDG_CONFIG_HOME", ".config").ok_or(UnitError::NoFolder)?;
    let folder = config.join("systemd/user");
    Ok(folder.join(format!("{unit}.service")))
}

/// The home by its whole path, which is its name in a unit.
fn whole(home: &Home) -> Result<PathBuf, Error> {
    let root: &Path = home.root();
    std::path::absolute(root).map_err(|e| Error::io(root, e))
}
