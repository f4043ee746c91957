//! What the demonstration sends, and whether what came is the same.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    os::unix::fs::symlink,
    path::Path,
};

/// A file of `size` random bytes: nothing about it can be guessed or compressed.
pub(super) fn write_file(path: &Path, size: u64) -> io::Result<()> {
    let mut random = File::open("/dev/urandom")?.take(size);
    io::copy(&mut random, &mut File::create(path)?)?;
    Ok(())
}

/// A folder as people have them.
pub(super) fn write_folder(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path.join("src/deep/deeper"))?;
    fs::create_dir_all(path.join("an empty folder"))?;
    for (name, text) in [
        ("notes.txt", "to do\n"),
        ("an empty file", ""),
        ("src/.hidden", "hidden\n"),
        (
            "src/deep/deeper/\u{e9}t\u{e9} \u{1f4e6} \"quoted\" & odd.txt",
            "odd\n",
        ),
        ("src/-dash", "dash\n"),
    ] {
        File::create(path.join(name))?.write_all(text.as_bytes())?;
    }
    symlink("deep/deeper", path.join("src/link"))
}

/// Whether two files, links or folders have the same kind, names and bytes.
pub(super) fn is_same(a: &Path, b: &Path) -> io::Result<bool> {
    let (kind_a, kind_b) = (
        fs::symlink_metadata(a)?.file_type(),
        fs::symlink_metadata(b)?.file_type(),
    );
    if kind_a != kind_b {
        return Ok(false);
    }
    if kind_a.is_symlink() {
        return Ok(fs::read_link(a)? == fs::read_link(b)?);
    }
    if kind_a.is_file() {
        return same_bytes(a, b);
    }
    let names = |path: &Path| -> io::Result<Vec<_>> {
        let mut names = fs::read_dir(path)?
            .map(|entry| Ok(entry?.file_name()))
            .collect::<io::Result<Vec<_>>>()?;
        names.sort();
        Ok(names)
    };
    let names_a = names(a)?;
    if names_a != names(b)? {
        return Ok(false);
    }
    for name in names_a {
        if !is_same(&a.join(&name), &b.join(&name))? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn same_bytes(a: &Path, b: &Path) -> io::Result<bool> {
    let (mut a, mut b) = (File::open(a)?, File::open(b)?);
    let (mut left, mut right) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    loop {
        let count = a.read(&mut left)?;
        if count == 0 {
            return Ok(b.read(&mut right)? == 0);
        }
        if b.read_exact(&mut right[..count]).is_err() || left[..count] != right[..count] {
            return Ok(false);
        }
    }
}
