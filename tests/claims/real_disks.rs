//! The file systems that this kernel has: what is sent arrives on each, and a home works there.

use std::{
    fs::{self, File},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;
use testkit::Homes;

use crate::disks::is_a_home;

/// Room for the smallest XFS.
const SIZE: u64 = 320 << 20;

/// A kind of file system, the options that it is made with, and those that it is mounted with.
type Kind = (&'static str, &'static [&'static str], &'static str);

const KINDS: [Kind; 10] = [
    ("tmpfs", &[], ""),
    ("overlay", &[], ""),
    ("bindfs", &[], ""),
    ("ext4", &["-q"], "loop"),
    ("ext4", &["-q", "-O", "casefold"], "loop"),
    ("xfs", &["-q"], "loop"),
    ("btrfs", &["-q"], "loop"),
    ("f2fs", &["-q"], "loop"),
    // Keys are private there if the whole mount is.
    ("vfat", &[], "loop,umask=077"),
    ("exfat", &[], "loop,umask=077"),
];

struct Mounted {
    folder: TempDir,
    /// Where its bytes are.
    _back: TempDir,
}

impl Mounted {
    fn new((kind, making, mounting): Kind) -> Option<Self> {
        let (folder, back) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let is_mounted = match kind {
            "tmpfs" => done(
                Command::new("mount")
                    .args(["-t", kind, "none"])
                    .arg(folder.path()),
            ),
            "overlay" => {
                // On a disk of its own: an overlay cannot be the upper folder of another.
                let mut disk = Command::new("mount");
                let is_disk = done(disk.args(["-t", "tmpfs", "none"]).arg(back.path()));
                let [lower, upper, work] = ["lower", "upper", "work"].map(|name| {
                    let path = back.path().join(name);
                    fs::create_dir(&path).unwrap();
                    path.display().to_string()
                });
                let options = format!("lowerdir={lower},upperdir={upper},workdir={work}");
                let mut mount = Command::new("mount");
                let mount = mount.args(["-t", kind, "none", "-o", &options]);
                let is_mounted = is_disk && done(mount.arg(folder.path()));
                // The mounted overlay holds it.
                is_disk && done(Command::new("umount").arg("-l").arg(back.path())) && is_mounted
            }
            "bindfs" => done(Command::new("bindfs").args([back.path(), folder.path()])),
            _ => {
                let image = back.path().join("image");
                File::create(&image).unwrap().set_len(SIZE).unwrap();
                let mut make = Command::new(format!("mkfs.{kind}"));
                let mut mount = Command::new("mount");
                mount.args(["-t", kind, "-o", mounting]).arg(&image);
                done(make.args(making).arg(&image)) && done(mount.arg(folder.path()))
            }
        };
        if !is_mounted {
            eprintln!("not tried: no {kind} {making:?} can be made and mounted here");
            return None;
        }
        let _back = back;
        Some(Self { folder, _back })
    }

    /// A folder on it, in which capitals do not count where that can be.
    fn path(&self, name: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::create_dir(&path).unwrap();
        let _ = Command::new("chattr").arg("+F").arg(&path).output();
        path
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount")
            .arg("-l")
            .arg(self.folder.path())
            .status();
    }
}

fn done(command: &mut Command) -> bool {
    command.output().is_ok_and(|ran| ran.status.success())
}

#[test]
fn what_is_sent_arrives_on_every_file_system_that_can_be_mounted() {
    for kind in KINDS {
        let Some(disk) = Mounted::new(kind) else {
            continue;
        };
        is_destination(&disk.path("o"), kind.0);
        is_a_home(&disk.path("h"), kind.0);
    }
}

fn is_destination(out: &Path, kind: &str) {
    let homes = Homes::new(&["b"]);
    let folder = homes.path("d");
    fs::create_dir_all(folder.join("sub")).unwrap();
    fs::write(folder.join("sub/x"), vec![7; 2_500_000]).unwrap();
    fs::write(folder.join("README"), "one").unwrap();
    fs::write(folder.join("readme"), "two").unwrap();
    symlink("README", folder.join("l")).unwrap();
    let kept = "keep_opened = \"1d\"\n";
    std::fs::write(homes.home("a").join("colis.toml"), kept).unwrap();
    let serving = homes.serve("a", &["--inbox", "off"]);
    homes.ok("b", &["send", "d", "--to", &serving.to()]);
    let args = ["receive", "d", "--out", out.to_str().unwrap()];
    homes.ok("a", &args);
    assert_eq!(
        fs::read(out.join("d/sub/x")).unwrap(),
        vec![7; 2_500_000],
        "{kind}"
    );
    let files = fs::read_dir(out.join("d")).unwrap();
    let files = files.filter_map(|entry| fs::read_to_string(entry.unwrap().path()).ok());
    let mut texts: Vec<_> = files.collect();
    texts.sort_unstable();
    texts.dedup();
    assert_eq!(texts, ["one", "two"], "{kind}: a file is lost");
    assert!(!out.join(".colis").exists(), "{kind}");
    let again = homes.ok("a", &args);
    assert!(again.contains("already there"), "{kind}: {again}");
}
