//! Files to send, and what is in a folder.

use std::{fs, path::Path};

/// `length` bytes that look random and are always the same.
pub fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes: Vec<u8> = std::iter::repeat_with(&mut next)
        .take(length / 8 + 1)
        .flatten()
        .collect();
    bytes.truncate(length);
    bytes
}

/// Marks a folder for received files.
pub const MARKER: &str = ".colis-received";

/// Every entry under `root` as text: kind, path, and what is in it. Nothing if `root` is not there.
pub fn tree(root: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let mut todo = vec![root.to_owned()];
    if !root.exists() {
        return lines;
    }
    while let Some(path) = todo.pop() {
        let metadata = fs::symlink_metadata(&path).unwrap();
        let name = path.strip_prefix(root).unwrap().display().to_string();
        // A folder for received files has it from the beginning.
        if name == MARKER {
            continue;
        }
        if metadata.is_dir() {
            lines.push(format!("dir {name}"));
            todo.extend(
                fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        } else if metadata.is_symlink() {
            lines.push(format!(
                "link {name} -> {}",
                fs::read_link(&path).unwrap().display()
            ));
        } else {
            let digest = colis::id::Digest::of(&fs::read(&path).unwrap());
            lines.push(format!("file {name} {} {digest}", metadata.len()));
        }
    }
    lines.sort();
    lines
}
