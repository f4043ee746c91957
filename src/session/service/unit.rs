//! The text of a unit: what it starts, how it is restarted, and what it may not do.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use crate::{private, session::Kind};

use super::{CREDENTIAL, Owner, ServiceRequest, UnitError};

/// The first line of a unit that is ours to replace.
const MARK: &str = "# Written by `colis serve --install`.";

/// How the line begins that tells whose unit it is.
const HOME: &str = "# Home: ";

/// What starts a unit of a user.
pub(super) const WANTED_BY_USER: &str = "default.target";

/// The manager of a user has no such target: only that of the system knows when the network is there.
const AFTER_NETWORK: &str = "Wants=network-online.target\nAfter=network-online.target\n";

/// Every unit has these: nothing of them needs a right that a user's own service manager has not.
const CONFINED: &str = "\
UMask=0077
LimitNOFILE=65536
LimitCORE=0
StandardOutput=null
NoNewPrivileges=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM
";

/// A system's unit has these as well: the home and the program are all that it sees of the disk beside the system's own.
const ENCLOSED: &str = "\
ProtectSystem=strict
ProtectHome=tmpfs
PrivateTmp=yes
PrivateDevices=yes
ProtectProc=invisible
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
RemoveIPC=yes
KeyringMode=private
";

/// What a unit is made of.
pub(super) struct Unit<'a> {
    pub(super) owner: Owner,
    pub(super) home: &'a Path,
    pub(super) service: &'a ServiceRequest,
}

impl Unit<'_> {
    pub(super) fn text(&self) -> Result<String, UnitError> {
        let (start, environment) = (self.start()?, environment(&self.service.environment)?);
        let (folders, passphrase) = (self.folders()?, self.passphrase()?);
        let own = match self.owner {
            Owner::User => String::new(),
            Owner::System { account } => self.enclosed(&folders, account)?,
        };
        let (network, target) = match self.owner {
            Owner::User => ("", WANTED_BY_USER),
            Owner::System { .. } => (AFTER_NETWORK, "multi-user.target"),
        };
        Ok(format!(
            "{MARK}\n\
             {}\n\
             [Unit]\n\
             Description=colis, encrypted file exchange between peers\n\
             {network}\
             RequiresMountsFor={}\n\
             StartLimitIntervalSec=600\n\
             StartLimitBurst=20\n\
             \n\
             [Service]\n\
             Type=notify\n\
             {environment}\
             ExecStart={start}\n\
             ExecReload=/bin/kill -HUP $MAINPID\n\
             Restart=always\n\
             RestartSec=2\n\
             TimeoutStopSec=30\n\
             {passphrase}\
             {CONFINED}\
             {own}\
             \n\
             [Install]\n\
             WantedBy={target}\n",
            home_line(self.home)?,
            folders.join(" ")
        ))
    }

    /// How the program gets the passphrase of the keys. Where that is missing or wrong, starting again changes nothing.
    fn passphrase(&self) -> Result<String, UnitError> {
        let Some(file) = &self.service.passphrase else {
            return Ok(String::new());
        };
        let file = text("the file with the passphrase", file)?;
        let credential = quote(&format!("{CREDENTIAL}:{file}"), "%")?;
        let locked = Kind::Locked as u8;
        Ok(format!(
            "LoadCredential={credential}\nRestartPreventExitStatus={locked}\n"
        ))
    }

    /// The command line: the program, the home, and the words of the request.
    fn start(&self) -> Result<String, UnitError> {
        let home = argument(text("the home folder", self.home)?)?;
        let words = self.service.arguments.iter().map(|word| argument(word));
        let words = words.collect::<Result<Vec<_>, _>>()?;
        let start = [
            executable(&self.service.program)?,
            argument("--home")?,
            home,
        ];
        Ok([&start[..], &words].concat().join(" "))
    }

    /// The home, the folder of received files elsewhere, and the folders that links in it lead to, each as a word of a unit.
    fn folders(&self) -> Result<Vec<String>, UnitError> {
        let links = ["certs", "chunks", "received", "logs"].map(|name| self.home.join(name));
        let links = links.into_iter().filter(|path| path.is_symlink());
        let led_to = links.filter_map(|link| fs::canonicalize(link).ok());
        let received = self.service.received.clone();
        let folders: Vec<PathBuf> = [self.home.to_owned()]
            .into_iter()
            .chain(led_to)
            .chain(received)
            .collect();
        folders.iter().map(|folder| path_word(folder)).collect()
    }

    fn enclosed(&self, folders: &[String], account: u32) -> Result<String, UnitError> {
        let (folders, program) = (folders.join(" "), path_word(&self.service.program)?);
        if folders.contains(':') || program.contains(':') {
            return Err(UnitError::Colon { folders, program });
        }
        // A port that only the system may take needs its right, and that needs the system's own user ids.
        let rights = match self.service.listen.port() {
            1..1024 => {
                "CapabilityBoundingSet=CAP_NET_BIND_SERVICE\nAmbientCapabilities=CAP_NET_BIND_SERVICE\n"
            }
            _ => "CapabilityBoundingSet=\nPrivateUsers=yes\n",
        };
        let state = match self.home == Path::new("/var/lib/colis") {
            true => "StateDirectory=colis\nStateDirectoryMode=0700\n",
            false => "",
        };
        Ok(format!(
            "User={account}\n\
             {state}\
             BindPaths={folders}\n\
             ReadWritePaths={folders}\n\
             BindReadOnlyPaths={program}\n\
             {rights}\
             {ENCLOSED}"
        ))
    }
}

/// The variables as lines of a unit.
fn environment(variables: &[(String, OsString)]) -> Result<String, UnitError> {
    let mut lines = String::new();
    for (name, value) in variables {
        let value = text(name, Path::new(value))?;
        let line = quote(&format!("{name}={value}"), "%")?;
        lines.push_str(&format!("Environment={line}\n"));
    }
    Ok(lines)
}

/// The line that tells whose unit it is.
fn home_line(home: &Path) -> Result<String, UnitError> {
    Ok(format!("{HOME}{}", path_word(home)?))
}

fn path_word(path: &Path) -> Result<String, UnitError> {
    quote(text("a folder", path)?, "%")
}

/// A path for the unit, which must be text for systemd to read the same bytes.
fn text<'a>(what: &str, path: &'a Path) -> Result<&'a str, UnitError> {
    path.to_str().ok_or_else(|| UnitError::NoText {
        what: what.to_owned(),
        text: path.to_string_lossy().into_owned(),
    })
}

/// The program. systemd expands no variable in its name, and takes none with a quote or a backslash.
fn executable(program: &Path) -> Result<String, UnitError> {
    let text = text("the name of the program", program)?;
    if text.contains(['"', '\'', '\\']) {
        return Err(UnitError::QuotedProgram(text.to_owned()));
    }
    quote(text, "%")
}

fn argument(word: &str) -> Result<String, UnitError> {
    quote(word, "%$")
}

/// As systemd.syntax(7) wants it: in double quotes, and the characters of `special`, doubled, mean themselves.
fn quote(text: &str, special: &str) -> Result<String, UnitError> {
    if text.contains(char::is_control) {
        return Err(UnitError::ControlCharacter(text.to_owned()));
    }
    let mut quoted = String::from("\"");
    for c in text.chars() {
        if special.contains(c) {
            quoted.push(c);
        } else if matches!(c, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    Ok(quoted)
}

/// Whether the unit at `path` may be replaced or removed: it is ours, and serves `home`.
pub(super) fn check_ours(path: &Path, home: &Path) -> Result<(), UnitError> {
    let Ok(there) = private::read_text(path) else {
        return Ok(());
    };
    if !there.starts_with(MARK) {
        return Err(UnitError::NotOurs(path.to_owned()));
    }
    let ours = home_line(home)?;
    let theirs = there.lines().find(|line| line.starts_with(HOME));
    if theirs != Some(ours.as_str()) {
        return Err(UnitError::OfAnother {
            unit: path.to_owned(),
            home: theirs.map(|line| line[HOME.len()..].to_owned()),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_mean_themselves_in_a_unit() {
        assert_eq!(
            argument("/a b/50%/$x\"\\").unwrap(),
            r#""/a b/50%%/$$x\"\\""#
        );
        assert_eq!(executable(Path::new("/a b/$x%")).unwrap(), "\"/a b/$x%%\"");
        for odd in ["/a\"b", "/a'b", "/a\\b", "/a\nb"] {
            let refused = executable(Path::new(odd)).unwrap_err();
            assert_eq!(refused.kind(), Kind::Usage, "{odd}");
        }
        assert!(argument("a\nExecStop=b").is_err());
    }

    #[test]
    fn what_is_set_is_in_the_unit() {
        let set = |name: &str, value: &str| (name.to_owned(), OsString::from(value));
        let set = [set("COLIS_JOBS", "7"), set("COLIS_LOG", "a=\"50%\" $b")];
        assert_eq!(
            environment(&set).unwrap(),
            "Environment=\"COLIS_JOBS=7\"\nEnvironment=\"COLIS_LOG=a=\\\"50%%\\\" $b\"\n"
        );
    }
}
