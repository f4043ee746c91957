//! The text of a unit: what it starts, how it is restarted, and what it may not do.

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use super::{Kind, refused};
use crate::cli::report::{ExitCode, Failure};

/// The first line of a unit that is ours to replace.
pub(super) const MARK: &str = "# Written by `colis serve --install`.";

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

/// What a unit is made of. Texts are quoted already.
pub(super) struct Unit<'a> {
    pub(super) kind: Kind,
    pub(super) home: &'a Path,
    pub(super) program: &'a Path,
    pub(super) start: String,
    pub(super) environment: String,
    pub(super) listen: SocketAddr,
}

impl Unit<'_> {
    pub(super) fn text(&self) -> Result<String, Failure> {
        let Self {
            start, environment, ..
        } = self;
        let folders = self.folders()?;
        let own = match self.kind {
            Kind::User => String::new(),
            Kind::System => self.enclosed(&folders)?,
        };
        let target = match self.kind {
            Kind::User => "default.target",
            Kind::System => "multi-user.target",
        };
        Ok(format!(
            "{MARK}\n\
             {}\n\
             [Unit]\n\
             Description=colis, encrypted file exchange between peers\n\
             Wants=network-online.target\n\
             After=network-online.target\n\
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
             {CONFINED}\
             {own}\
             \n\
             [Install]\n\
             WantedBy={target}\n",
            home_line(self.home)?,
            folders.join(" ")
        ))
    }

    /// The home, and the folders that links in it lead to, each as a word of a unit.
    fn folders(&self) -> Result<Vec<String>, Failure> {
        let links = ["certs", "chunks", "received", "logs"].map(|name| self.home.join(name));
        let links = links.into_iter().filter(|path| path.is_symlink());
        let led_to = links.filter_map(|link| fs::canonicalize(link).ok());
        let folders: Vec<PathBuf> = [self.home.to_owned()].into_iter().chain(led_to).collect();
        folders.iter().map(|folder| path_word(folder)).collect()
    }

    fn enclosed(&self, folders: &[String]) -> Result<String, Failure> {
        let (folders, program) = (folders.join(" "), path_word(self.program)?);
        if folders.contains(':') || program.contains(':') {
            let what = "systemd cannot give a service a path with a colon in it";
            return Err(refused(&format!("{what}: {folders}, {program}")));
        }
        // A port that only the system may take needs its right, and that needs the system's own user ids.
        let rights = match self.listen.port() {
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
            "User={}\n\
             {state}\
             BindPaths={folders}\n\
             ReadWritePaths={folders}\n\
             BindReadOnlyPaths={program}\n\
             {rights}\
             {ENCLOSED}",
            owner_of(self.home)?
        ))
    }
}

/// The account that a home belongs to, by its number: that one serves it, whoever writes the unit.
pub(super) fn owner_of(home: &Path) -> Result<u32, Failure> {
    let metadata = fs::metadata(home).map_err(|e| Failure::io(home, &e))?;
    Ok(metadata.uid())
}

/// The line that tells whose unit it is.
pub(super) fn home_line(home: &Path) -> Result<String, Failure> {
    Ok(format!("# Home: {}", path_word(home)?))
}

fn path_word(path: &Path) -> Result<String, Failure> {
    quote(text("a folder", path)?, "%")
}

/// A path for the unit, which must be text for systemd to read the same bytes.
pub(super) fn text<'a>(what: &str, path: &'a Path) -> Result<&'a str, Failure> {
    path.to_str().ok_or_else(|| {
        let shown = path.display();
        refused(&format!(
            "{what} is not UTF-8, which a unit must be: {shown}"
        ))
    })
}

/// The program. systemd expands no variable in its name, and takes none with a quote or a backslash.
pub(super) fn executable(program: &Path) -> Result<String, Failure> {
    let text = text("the name of the program", program)?;
    if text.contains(['"', '\'', '\\']) {
        let what = "systemd starts no program with a quote or a backslash in its name";
        return Err(refused(&format!("{what}: {text}")));
    }
    quote(text, "%")
}

pub(super) fn argument(word: &str) -> Result<String, Failure> {
    quote(word, "%$")
}

/// As systemd.syntax(7) wants it: in double quotes, and the characters of `special`, doubled, mean themselves.
pub(super) fn quote(text: &str, special: &str) -> Result<String, Failure> {
    if text.contains(char::is_control) {
        let what = format!("it has a control character, which no line of a unit has: {text}");
        return Err(refused(&what));
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
pub(super) fn check_ours(path: &Path, home: &Path) -> Result<(), Failure> {
    let Ok(there) = fs::read_to_string(path) else {
        return Ok(());
    };
    let shown = path.display();
    if !there.starts_with(MARK) {
        let what = format!("{shown} was not written by colis");
        let failure = Failure::new(ExitCode::Config, what);
        return Err(failure.hint("move it away, then run this again"));
    }
    let ours = home_line(home)?;
    let theirs = there.lines().find(|line| line.starts_with("# Home: "));
    if theirs != Some(ours.as_str()) {
        let of = theirs.map_or("an unknown home", |line| &line["# Home: ".len()..]);
        let failure = Failure::new(ExitCode::Config, format!("{shown} serves {of}"));
        return Err(failure.hint(
            "give this home a unit of its own: --unit NAME; or remove that one: colis serve --uninstall with its home",
        ));
    }
    Ok(())
}
