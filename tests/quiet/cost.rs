//! What a transfer costs, in figures that a busy machine does not change: system calls, memory, the page cache, bytes
//! on the wire.
//!
//! Every limit is what was counted when it was set, and a quarter more. One that fails by a new way of doing things is
//! lowered or raised with it, in the same commit and with the reason; one that fails by itself is a bug.

mod cached;
mod calls;
mod memory;
mod relay;
mod wire;

use std::fs;

use testkit::{Homes, bytes};

/// What is sent: the interesting two kinds.
struct Load {
    /// What it is called, in homes and in messages.
    name: &'static str,
    /// Files, and the bytes of each.
    files: usize,
    length: usize,
}

/// One large file.
const LARGE: Load = Load {
    name: "large",
    files: 1,
    length: 64 << 20,
};

/// Many small ones.
const SMALL: Load = Load {
    name: "small",
    files: 2_000,
    length: 10 << 10,
};

impl Load {
    /// Writes it into a circle of its own, with the peers `b`, `c` and `d`.
    fn make(&self) -> Homes {
        let homes = Homes::new(&["b", "c", "d"]);
        let folder = homes.path(self.name);
        fs::create_dir(&folder).unwrap();
        for file in 0..self.files {
            let content = bytes(file as u64, self.length);
            fs::write(folder.join(format!("{file}.bin")), content).unwrap();
        }
        homes
    }

    /// That `folder` has it now too.
    fn assert_in(&self, homes: &Homes, folder: &str) {
        let arrived = homes.path(folder).join(self.name);
        let there = fs::read_dir(&arrived).unwrap().count();
        assert_eq!(there, self.files, "{}", arrived.display());
        let last = self.files - 1;
        let content = fs::read(arrived.join(format!("{last}.bin"))).unwrap();
        assert!(
            content == bytes(last as u64, self.length),
            "other bytes came"
        );
    }
}
