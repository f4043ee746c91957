//! What the system lets this process have: descriptors and memory.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rustix::process::{Resource, getrlimit};

use super::Finding;
use crate::{
    config::units::Size,
    session::Kind,
    wire::{MAX_BODY_MEMORY, MAX_CONNECTIONS},
};

/// Descriptors that a peer needs before its first connection: the folders of the store, and some files.
const DESCRIPTORS: u64 = 512;
/// Below this a busy peer may be killed: bodies of requests, what is sealed and opened meanwhile, and what the allocator keeps.
const MEMORY: u64 = MAX_BODY_MEMORY as u64 * 2;

pub(super) fn descriptors() -> Finding {
    const STEP: &str = "descriptors";
    let limit = getrlimit(Resource::Nofile);
    // None is without a bound. The soft limit was raised as far as it goes.
    let Some(files) = limit.current else {
        return Finding::ok(STEP, "no limit of open files");
    };
    let connections = files.saturating_sub(DESCRIPTORS);
    let hint = "raise the hard limit: LimitNOFILE=65536 in the unit of systemd, or `nofile` in \
                /etc/security/limits.conf";
    if files < DESCRIPTORS {
        return Finding::fail(
            STEP,
            Kind::Config,
            format!("{files} open files at most; a store alone needs {DESCRIPTORS}"),
        )
        .hint(hint);
    }
    if connections < MAX_CONNECTIONS as u64 {
        let detail = format!(
            "{files} open files at most: enough for {connections} of {MAX_CONNECTIONS} connections"
        );
        // A handful of peers is what most have.
        return if connections < 256 {
            Finding::warn(STEP, detail).hint(hint)
        } else {
            Finding::ok(STEP, detail)
        };
    }
    Finding::ok(STEP, format!("{files} open files at most"))
}

pub(super) fn memory() -> Finding {
    const STEP: &str = "memory";
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let of_group = cgroup_limit(Path::new("/sys/fs/cgroup"), &own)
        .map(|(bytes, path)| (bytes, path.display().to_string()));
    let of_process = getrlimit(Resource::As)
        .current
        .map(|bytes| (bytes, "ulimit -v".to_owned()));
    match of_group.into_iter().chain(of_process).min() {
        Some((bytes, whose)) if bytes < MEMORY => Finding::warn(
            STEP,
            format!(
                "{} at most, by {whose}; a busy peer uses up to {}",
                Size(bytes),
                Size(MEMORY)
            ),
        )
        .hint("raise it (MemoryMax= in the unit of systemd), or a busy peer is killed"),
        Some((bytes, whose)) => Finding::ok(STEP, format!("{} at most, by {whose}", Size(bytes))),
        None => Finding::ok(STEP, "no limit"),
    }
}

/// The lowest limit of memory of the control groups that a process is in, and the file that sets it. `own` is what
/// `/proc/self/cgroup` says: `0::/path` in version 2, `N:memory:/path` in version 1.
fn cgroup_limit(root: &Path, own: &str) -> Option<(u64, PathBuf)> {
    let group = |line: &str| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?);
        let (hierarchy, file) = match controllers {
            "" => (root.to_owned(), "memory.max"),
            _ if controllers.split(',').any(|c| c == "memory") => {
                (root.join("memory"), "memory.limit_in_bytes")
            }
            _ => return None,
        };
        Some((hierarchy, PathBuf::from(path.trim_start_matches('/')), file))
    };
    let limits = own
        .lines()
        .filter_map(group)
        .flat_map(|(root, path, file)| {
            let above: Vec<_> = path.ancestors().map(|p| root.join(p).join(file)).collect();
            above.into_iter()
        });
    limits
        .filter_map(|file| {
            let bytes = fs::read_to_string(&file).ok()?.trim().parse::<u64>().ok()?;
            // Version 1 writes a very large number for none.
            (bytes < 1 << 60).then_some((bytes, file))
        })
        .min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_limit_of_the_groups_around_us_counts() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let limit = |own: &str| cgroup_limit(root.path(), own).map(|(bytes, _)| bytes);
        assert_eq!(limit("0::/a/b\n"), None, "no files at all");
        write("a/b/memory.max", "max\n");
        assert_eq!(limit("0::/a/b\n"), None);
        write("a/memory.max", "134217728\n");
        assert_eq!(
            limit("0::/a/b\n"),
            Some(128 << 20),
            "set by the group above"
        );
        write("a/b/memory.max", "67108864\n");
        assert_eq!(limit("0::/a/b\n"), Some(64 << 20));
        write("memory/x/memory.limit_in_bytes", "9223372036854771712\n");
        assert_eq!(limit("4:memory:/x\n"), None);
        write("memory/x/memory.limit_in_bytes", "1048576\n");
        assert_eq!(limit("5:cpu:/y\n4:memory:/x\n0::/none\n"), Some(1 << 20));
    }
}
