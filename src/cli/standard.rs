//! The three standard descriptors, which may have been closed: then a program has `/dev/null` in their place, and would take
//! nothing for what somebody wanted to give it.

use std::{
    fs::{self, File},
    io::{self, Stdin, Stdout},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::fs::{FileTypeExt as _, MetadataExt as _},
    },
};

use rustix::fs::{OFlags, fcntl_getfl};

use super::report::Failure;

/// Standard input to read from. Fails with `hint` if it is closed; an empty one is not.
pub(super) fn input(hint: &str) -> Result<Stdin, Failure> {
    let stdin = io::stdin();
    match is_closed(stdin.as_fd()) {
        true => Err(Failure::usage("standard input is closed").hint(hint)),
        false => Ok(stdin),
    }
}

/// Standard output for content. Fails with `hint` if it is closed: the content would go nowhere.
pub(super) fn output(hint: &str) -> Result<Stdout, Failure> {
    let stdout = io::stdout();
    match is_closed(stdout.as_fd()) {
        true => Err(Failure::usage("standard output is closed").hint(hint)),
        false => Ok(stdout),
    }
}

/// Whether the standard descriptor with this number is closed; no other number is one.
pub(super) fn is_closed_number(number: u32) -> bool {
    match number {
        0 => is_closed(io::stdin().as_fd()),
        1 => is_closed(io::stdout().as_fd()),
        2 => is_closed(io::stderr().as_fd()),
        _ => false,
    }
}

/// What stands in for a closed one is `/dev/null`, open for reading and writing.
fn is_closed(standard: BorrowedFd<'_>) -> bool {
    let Ok(file) = standard.try_clone_to_owned().map(File::from) else {
        return true;
    };
    let null = fs::metadata("/dev/null").map(|null| null.rdev());
    let is_null = file.metadata().is_ok_and(|found| {
        found.file_type().is_char_device() && null.is_ok_and(|null| null == found.rdev())
    });
    let flags = fcntl_getfl(&file);
    is_null && flags.is_ok_and(|flags| flags & OFlags::RWMODE == OFlags::RDWR)
}
