//! `serve --install`: a systemd unit that serves this home whenever its user is there.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

use serde_json::json;

use super::{
    Context,
    report::{ExitCode, Failure},
};
use crate::trust::write_durably;

/// The first line of a unit that is ours to replace.
const MARK: &str = "# Written by `colis serve --install`.";

pub(super) fn run(context: &Context) -> Result<ExitCode, Failure> {
    let program = env::current_exe().map_err(|e| Failure::io(Path::new("colis"), &e))?;
    let folder = units()?;
    let path = folder.join("colis.service");
    if fs::read_to_string(&path).is_ok_and(|text| !text.starts_with(MARK)) {
        let what = format!("{} was not written by colis", path.display());
        let failure = Failure::new(ExitCode::Config, what);
        return Err(failure.hint("move it away, then run this again"));
    }
    fs::create_dir_all(&folder).map_err(|e| Failure::io(&folder, &e))?;
    let unit = unit(&program, context.home.root());
    write_durably(&path, unit.as_bytes(), 0o644).map_err(|e| Failure::io(&path, &e))?;
    context.output.object("installed", &json!({"path": path}));
    context.output.line(path.display());
    context.output.talk(
        "start it, now and at every login: systemctl --user daemon-reload && systemctl --user enable --now colis\n\
         also when nobody is logged in: loginctl enable-linger\n\
         its log: journalctl --user -u colis; what arrived, with its names: colis history",
    );
    Ok(ExitCode::Ok)
}

/// The folder of this user's units.
fn units() -> Result<PathBuf, Failure> {
    let config = env::var_os("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute());
    let config = config.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".config")));
    let missing = || Failure::io(Path::new("HOME"), &io::ErrorKind::NotFound.into());
    Ok(config.ok_or_else(missing)?.join("systemd/user"))
}

fn unit(program: &Path, home: &Path) -> String {
    let (program, home) = (quote(program), quote(home));
    format!(
        "{MARK}\n\
         [Unit]\n\
         Description=colis, encrypted file exchange between peers\n\
         After=network-online.target\n\
         \n\
         [Service]\n\
         Type=notify\n\
         ExecStart={program} --home {home} serve\n\
         Restart=on-failure\n\
         RestartSec=2\n\
         TimeoutStopSec=30\n\
         LimitNOFILE=65536\n\
         LimitCORE=0\n\
         StandardOutput=null\n\
         NoNewPrivileges=yes\n\
         \n\
         [Install]\n\
         WantedBy=default.target\n"
    )
}

/// As systemd.syntax(7) wants it: quoted, and `%` and `$` mean themselves.
fn quote(path: &Path) -> String {
    let path = path.to_string_lossy();
    let escaped = path
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('%', "%%")
        .replace('$', "$$");
    format!("\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_mean_themselves_in_a_unit() {
        assert_eq!(quote(Path::new("/a b/50%/$x\"")), "\"/a b/50%%/$$x\\\"\"");
        let unit = unit(Path::new("/usr/bin/colis"), Path::new("/home/a/colis"));
        assert!(unit.starts_with(MARK));
        // Arrivals are printed with names and messages, and others read the journal.
        assert!(unit.contains("\nStandardOutput=null\n"));
        assert!(unit.contains("ExecStart=\"/usr/bin/colis\" --home \"/home/a/colis\" serve\n"));
    }
}
