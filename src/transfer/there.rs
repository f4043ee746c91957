//! What of a transfer is at its destination already: under its own names, or under those with a number that an earlier
//! receive gave it because its own were taken.

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    io::{self, Read as _},
    path::PathBuf,
};

use super::{
    TransferError,
    plan::{Plan, Step, StepKind},
};
use crate::{
    id::{FileDigest, FileHasher},
    name::SafeName,
    received::{Existing, Received},
    sabotage,
};

/// An entry that is made, and the digest of its content if it is a file.
type Wanted<'a> = (&'a Step, Option<&'a FileDigest>);

/// The paths of what is there already, if all of the transfer is: the same files, folders and links. Each entry at the top is
/// looked for under its name, then under `name (2)` and so on up to the first name that is free.
pub(super) fn identical(
    plan: &Plan,
    sums: &[FileDigest],
    root: &Received,
) -> Result<Option<Vec<PathBuf>>, TransferError> {
    if sabotage::without("existing") || !plan.tops().all(|top| root.has(top)) {
        return Ok(None);
    }
    let (mut paths, mut found) = (Vec::new(), HashSet::new());
    for (top, part) in by_top(plan, sums)? {
        let Some(name) = find(top, &part, root, &found)? else {
            return Ok(None);
        };
        paths.push(root.path().join(name.as_str()));
        found.insert(name);
    }
    Ok(Some(paths))
}

/// For each entry at the top of `plan`, its path if that alone is there already.
pub(super) fn each_identical(
    plan: &Plan,
    sums: &[FileDigest],
    root: &Received,
) -> Result<Vec<Option<PathBuf>>, TransferError> {
    let (mut paths, mut found) = (Vec::new(), HashSet::new());
    for (top, part) in by_top(plan, sums)? {
        let name = match sabotage::without("existing") {
            true => None,
            false => find(top, &part, root, &found)?,
        };
        paths.push(name.as_ref().map(|name| root.path().join(name.as_str())));
        found.extend(name);
    }
    Ok(paths)
}

/// The entries that are made, by the one at the top that they belong to.
fn by_top<'a>(
    plan: &'a Plan,
    sums: &'a [FileDigest],
) -> Result<Vec<(&'a SafeName, Vec<Wanted<'a>>)>, TransferError> {
    let mut parts: Vec<(_, Vec<_>)> = plan.tops().map(|top| (top, Vec::new())).collect();
    let places = plan.tops().enumerate().map(|(place, top)| (top, place));
    let places: HashMap<_, _> = places.collect();
    let mut sums = sums.iter();
    for step in &plan.steps {
        let sum = match step.kind {
            StepKind::Skipped => continue,
            StepKind::File { .. } => Some(sums.next().ok_or(TransferError::Stopped)?),
            StepKind::Directory { .. } | StepKind::Symlink { .. } => None,
        };
        let place = places.get(step.path.top()).ok_or(TransferError::Stopped)?;
        parts[*place].1.push((step, sum));
    }
    Ok(parts)
}

/// The first name of those of `top` under which all of `part` is.
fn find(
    top: &SafeName,
    part: &[Wanted<'_>],
    root: &Received,
    found: &HashSet<SafeName>,
) -> Result<Option<SafeName>, TransferError> {
    let names = std::iter::once(top.clone()).chain((2..).map(|n| top.numbered(n)));
    for name in names.take_while(|name| root.has(name)) {
        if !found.contains(&name) && is_there(part, &name, root)? {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

fn is_there(part: &[Wanted<'_>], name: &SafeName, root: &Received) -> Result<bool, TransferError> {
    for (step, sum) in part {
        let path = step.path.under(name);
        let is_same = match (&step.kind, root.existing(&path)?) {
            (StepKind::Directory { .. }, Some(Existing::Folder)) => true,
            (StepKind::Symlink { target }, Some(Existing::Link(there))) => *target == there,
            (StepKind::File { size, .. }, Some(Existing::File(file))) => {
                let same = sum.map_or(Ok(false), |sum| is_same(file, *size, *sum));
                same.map_err(|source| TransferError::Source {
                    path: root.path().join(path.to_string()),
                    source,
                })?
            }
            _ => false,
        };
        if !is_same {
            return Ok(false);
        }
    }
    Ok(true)
}

fn is_same(mut file: File, size: u64, sum: FileDigest) -> io::Result<bool> {
    if file.metadata()?.len() != size {
        return Ok(false);
    }
    let (mut hasher, mut buffer) = (FileHasher::default(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finish() == sum),
            count => hasher.update(&buffer[..count]),
        }
    }
}
