//! A file system in an image, whose power can be cut.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// Asks ext4 or XFS to go down at once and to forget what is not in its log: `_IOR('X', 125, u32)` with `NOLOGFLUSH`.
const CUT: &str = "import fcntl, os, struct, sys; \
    fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587d, struct.pack('I', 2))";

pub(crate) const MIB: u64 = 1 << 20;

/// Whether this process may mount images, which it says if not.
pub(crate) fn can_mount() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    let can = is_root && Path::new("/dev/loop-control").exists();
    if !can {
        eprintln!("not tried: disk images can be mounted only by root, with loop devices");
    }
    can
}

/// A mounted image.
pub(crate) struct Disk {
    device: String,
    folder: PathBuf,
}

impl Disk {
    /// The kinds of file systems that can be made here.
    pub(crate) fn kinds() -> impl Iterator<Item = &'static str> {
        let can_be_made = |kind: &&str| {
            let version = Command::new(format!("mkfs.{kind}")).arg("-V").output();
            let known = std::fs::read_to_string("/proc/filesystems").unwrap();
            let can = version.is_ok_and(|ran| ran.status.success()) && known.contains(*kind);
            if !can {
                eprintln!("not tried: {kind} cannot be made here");
            }
            can
        };
        ["ext4", "xfs"].into_iter().filter(can_be_made)
    }

    /// A new file system in the file `image`, mounted at `folder`.
    pub(crate) fn new(image: &Path, folder: &Path) -> Self {
        Self::of_size(640 * MIB, &[], image, folder)
    }

    /// The same of `size` bytes, made with `options`.
    pub(crate) fn of_size(size: u64, options: &[&str], image: &Path, folder: &Path) -> Self {
        let kind = std::env::var("COLIS_FS").unwrap_or_else(|_| "ext4".into());
        Self::of_kind(&kind, size, options, image, folder)
    }

    /// The same of ext4 or XFS.
    pub(crate) fn of_kind(
        kind: &str,
        size: u64,
        options: &[&str],
        image: &Path,
        folder: &Path,
    ) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let file = std::fs::File::create(image).unwrap();
        file.set_len(size).unwrap();
        let mut format = Command::new(format!("mkfs.{kind}"));
        run(format.arg("-q").args(options).arg(image));
        let attached = Command::new("losetup")
            .args(["-f", "--show"])
            .arg(image)
            .output();
        let device = String::from_utf8(attached.unwrap().stdout).unwrap();
        let device = device.trim().to_owned();
        assert!(!device.is_empty(), "no loop device");
        let folder = folder.to_owned();
        run(Command::new("mount").arg(&device).arg(&folder));
        Self { device, folder }
    }

    /// Cuts the power: from now on nothing reaches the disk.
    pub(crate) fn cut_power(&self) {
        run(Command::new("python3").args(["-c", CUT]).arg(&self.folder));
    }

    /// Mounts it again, as after the power came back. Nobody may use it any more.
    pub(crate) fn mount_again(&self) {
        run(Command::new("umount").arg(&self.folder));
        run(Command::new("mount").arg(&self.device).arg(&self.folder));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(&self.folder).status();
        let detached = Command::new("losetup").args(["-d", &self.device]).status();
        if !std::thread::panicking() {
            assert!(unmounted.unwrap().success() && detached.unwrap().success());
        }
    }
}

fn run(command: &mut Command) {
    let ran = command.output().unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{command:?}: {said}");
}
