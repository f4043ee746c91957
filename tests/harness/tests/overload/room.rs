//! A control group that limits memory.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use testkit::around;

pub(crate) const LIMIT: u64 = 256 << 20;
/// The target: what a peer may use at most.
pub(crate) const PEAK: u64 = 200 << 20;

/// A control group of either version.
pub(crate) struct Room {
    folder: PathBuf,
    version: usize,
}

impl Room {
    pub(crate) fn make() -> Option<Self> {
        let name = format!("colis-test-{}", std::process::id());
        for (version, parent, limit) in [
            (1, "/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            (2, "/sys/fs/cgroup", "memory.max"),
        ] {
            let room = Self {
                folder: Path::new(parent).join(&name),
                version,
            };
            // What goes wrong here goes wrong for want of rights or of such groups.
            let made = Path::new(parent).join("memory.stat").exists() || version == 2;
            if made && fs::create_dir(&room.folder).is_ok() {
                let limited = fs::write(room.folder.join(limit), LIMIT.to_string());
                return limited.is_ok().then_some(room);
            }
        }
        None
    }

    /// `command`, run in it.
    pub(crate) fn around(&self, command: &Command) -> Command {
        let members = self.folder.join("cgroup.procs");
        let mut shell = Command::new("sh");
        let script = format!("echo $$ > '{}' && exec \"$@\"", members.display());
        shell.args(["-c", &script, "sh"]);
        around(shell, command)
    }

    /// How often somebody in it was killed for want of memory.
    pub(crate) fn killed(&self) -> u64 {
        let file = ["memory.oom_control", "memory.events"][self.version - 1];
        let text = fs::read_to_string(self.folder.join(file)).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        line.map_or(0, |count| count.trim().parse().unwrap())
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        // It cannot go as long as somebody is in it; then it stays, empty, until the machine starts again.
        let _ = fs::remove_dir(&self.folder);
    }
}
