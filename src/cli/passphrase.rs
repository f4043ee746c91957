//! The passphrase of the home's keys: given by an option, by systemd or by the peer that serves, else asked for.

use std::{env, os::unix::fs::PermissionsExt as _, path::Path};

use super::{
    Context,
    args::Global,
    password::{OF_KEYS, Purpose},
    report::Failure,
    terminal,
};
use crate::{
    crypto::password::Password,
    peer,
    session::service::CREDENTIAL,
    tls::{self, CertsDir, Scope, TlsError},
};

/// How often it is asked for.
const TRIES: usize = 3;
/// Everybody but the owner.
const OTHERS: u32 = 0o077;

/// Opens the keys that a command needs; where it needs none, as far as nobody has to be asked.
pub(super) async fn open_keys(context: &Context, needed: Option<Scope>) -> Result<(), Failure> {
    let dir = context.home.dir();
    open_keys_in(context, &dir, needed).await
}

/// The same of the keys in `dir`.
pub(super) async fn open_keys_in(
    context: &Context,
    dir: &CertsDir,
    needed: Option<Scope>,
) -> Result<(), Failure> {
    if let Err(error) = tls::finish_change(dir) {
        tracing::warn!(%error, "a change of the passphrase that was interrupted is not finished");
    }
    let scope = match dir.ca_key().exists() {
        true => needed.unwrap_or(Scope::Peer),
        false => Scope::Peer,
    };
    if !tls::needs_passphrase(dir, scope) {
        return Ok(());
    }
    if let Some(given) = given(&context.global) {
        return Ok(unlock(dir, given?).await?);
    }
    if scope == Scope::Peer && peer::take_keys(dir).await {
        return Ok(());
    }
    match needed {
        Some(_) => ask(dir).await,
        None => Ok(()),
    }
}

/// The passphrase that the options give, or systemd.
fn given(global: &Global) -> Option<Result<Password, Failure>> {
    let (file, fd) = (&global.key_passphrase_file, global.key_passphrase_fd);
    if let Some(file) = file
        && let Err(failure) = check_private(file)
    {
        return Some(Err(failure));
    }
    let from_options = OF_KEYS.given(file.as_deref(), fd, Purpose::Open);
    from_options.or_else(|| {
        let folder = env::var_os("CREDENTIALS_DIRECTORY")?;
        let file = Path::new(&folder).join(CREDENTIAL);
        let file = file.is_file().then_some(file);
        OF_KEYS.given(file.as_deref(), None, Purpose::Open)
    })
}

/// Refuses a file that others can read. What is no regular file, as a pipe, has no others.
pub(super) fn check_private(file: &Path) -> Result<(), Failure> {
    let metadata = file.metadata().map_err(|e| Failure::io(file, &e))?;
    let mode = metadata.permissions().mode() & 0o777;
    match metadata.is_file() && mode & OTHERS != 0 {
        true => Err(TlsError::TooOpen {
            path: file.to_owned(),
            mode,
        }
        .into()),
        false => Ok(()),
    }
}

/// Asks until it is right, a few times.
async fn ask(dir: &CertsDir) -> Result<(), Failure> {
    if !terminal::is_there() {
        let path = dir.server_key();
        return Err(TlsError::Locked { path }.into());
    }
    for left in (1..TRIES).rev() {
        match unlock(dir, OF_KEYS.ask(Purpose::Open).await?).await {
            Err(TlsError::WrongPassphrase) => {
                let tries = if left == 1 { "try" } else { "tries" };
                terminal::say(&format!("that is not it: {left} more {tries}"));
            }
            done => return Ok(done?),
        }
    }
    Ok(unlock(dir, OF_KEYS.ask(Purpose::Open).await?).await?)
}

/// Deriving takes a while.
async fn unlock(dir: &CertsDir, passphrase: Password) -> Result<(), TlsError> {
    let dir = dir.clone();
    let unlocked = tokio::task::spawn_blocking(move || tls::unlock(&dir, &passphrase)).await;
    unlocked.unwrap_or(Err(TlsError::Closed))
}
