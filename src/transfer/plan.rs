//! What a receive will write where: every name of the table parsed and mapped before anything is written.

use super::TransferError;
use crate::{
    id::FileDigest,
    manifest::{Timestamp, table::Entry},
    name::{self, RelPath, SafeName},
    received::{EntryKind, Layout, Links, Names, NewNames, StagedPath, Staging},
};

/// The table, with a safe path for each entry.
pub(super) struct Plan {
    pub(super) steps: Vec<Step>,
    pub(super) files: usize,
    /// Links that are not made, as they were in the table.
    pub(super) skipped_links: Vec<String>,
    /// The same for links that the file system there cannot have.
    pub(super) unmade_links: Vec<String>,
    /// What has a number in its name, because another entry has the name without it.
    pub(super) numbered: NewNames,
    /// What has another name here for another reason.
    pub(super) renamed: NewNames,
}

/// One entry.
pub(super) struct Step {
    pub(super) path: StagedPath,
    pub(super) kind: StepKind,
}

pub(super) enum StepKind {
    File {
        size: u64,
        mtime: (i64, u32),
        executable: bool,
    },
    Directory {
        mtime: (i64, u32),
    },
    Symlink {
        target: String,
    },
    /// A link that is absolute, escapes, or that the file system cannot have.
    Skipped,
}

impl Plan {
    /// The same for the file system of `staging`, which may take names of `entries` for one, or refuse some.
    pub(super) fn for_staging(
        self,
        staging: &Staging,
        entries: &[Entry],
        created: Timestamp,
        size_of: impl Fn(&Entry) -> u64,
    ) -> Result<Self, TransferError> {
        let refused = staging.refused(self.steps.iter().map(|step| step.path.name()));
        let names = staging.names();
        let mut plan = match names == Names::Exact && refused.is_empty() {
            true => self,
            false => Self::new(entries, Layout::new(names, refused), created, size_of)?,
        };
        let is_link = |step: &Step| matches!(step.kind, StepKind::Symlink { .. });
        if plan.steps.iter().any(is_link) && !staging.has_symlinks()? {
            plan.leave_links_out(entries);
        }
        Ok(plan)
    }

    fn leave_links_out(&mut self, entries: &[Entry]) {
        for (step, entry) in self.steps.iter_mut().zip(entries) {
            if matches!(step.kind, StepKind::Symlink { .. }) {
                step.kind = StepKind::Skipped;
                self.unmade_links.push(entry.path().to_owned());
            }
        }
    }

    /// Maps `entries` of a transfer of the time `created` by `layout`, which is new; `size_of` gives the size of a file.
    pub(super) fn new(
        entries: &[Entry],
        mut layout: Layout,
        created: Timestamp,
        size_of: impl Fn(&Entry) -> u64,
    ) -> Result<Self, TransferError> {
        let mut plan = Self {
            steps: Vec::with_capacity(entries.len()),
            files: 0,
            skipped_links: Vec::new(),
            unmade_links: Vec::new(),
            numbered: NewNames::default(),
            renamed: NewNames::default(),
        };
        for entry in entries {
            let rel = RelPath::parse(entry.path())?;
            let kind = plan.kind(entry, &rel, created, &size_of);
            let staged = if matches!(kind, StepKind::Directory { .. }) {
                EntryKind::Directory
            } else {
                EntryKind::Leaf
            };
            let path = layout.add(&rel, staged)?;
            plan.steps.push(Step { path, kind });
        }
        plan.follow_links(entries, &layout);
        plan.numbered = layout.numbered().clone();
        plan.renamed = layout.renamed().clone();
        Ok(plan)
    }

    /// What gets a final name: the entries at the top that are made.
    pub(super) fn tops(&self) -> impl Iterator<Item = &SafeName> {
        let made = |step: &&Step| !matches!(step.kind, StepKind::Skipped);
        let made = self.steps.iter().filter(made);
        made.filter_map(|step| step.path.top_level())
    }

    /// The digest of each of them that is a file. `sums` are those of all files.
    pub(super) fn top_sums(&self, sums: &[FileDigest]) -> Vec<Option<FileDigest>> {
        let mut sums = sums.iter();
        let with_sum = self.steps.iter().filter_map(|step| match step.kind {
            StepKind::Skipped => None,
            StepKind::File { .. } => Some((step, sums.next().copied())),
            StepKind::Directory { .. } | StepKind::Symlink { .. } => Some((step, None)),
        });
        let top = with_sum.filter(|(step, _)| step.path.top_level().is_some());
        top.map(|(_, sum)| sum).collect()
    }

    /// How many entries are made.
    pub(super) fn made(&self) -> usize {
        let skipped = |step: &&Step| matches!(step.kind, StepKind::Skipped);
        self.steps.len() - self.steps.iter().filter(skipped).count()
    }

    /// Links were planned as they are in the table, in which an entry may come after a link to it.
    fn follow_links(&mut self, entries: &[Entry], layout: &Layout) {
        let planned = self.steps.iter_mut().zip(entries);
        let planned = planned.filter_map(|(step, entry)| match (&mut step.kind, entry) {
            (StepKind::Symlink { target: made }, Entry::Symlink { path, target }) => {
                Some((made, (path.as_str(), target.as_str())))
            }
            _ => None,
        });
        let (made, links): (Vec<_>, Vec<_>) = planned.unzip();
        let mut followed = Links::new(layout, links.iter().copied());
        for (target, link) in made.into_iter().zip(links) {
            *target = followed.follow(link.0, link.1);
        }
    }

    fn kind(
        &mut self,
        entry: &Entry,
        path: &RelPath,
        created: Timestamp,
        size_of: impl Fn(&Entry) -> u64,
    ) -> StepKind {
        match entry {
            // A stream has no time of its own.
            Entry::File { size: None, .. } => {
                self.files += 1;
                let seconds = i64::try_from(created.unix_seconds()).unwrap_or(i64::MAX);
                StepKind::File {
                    size: size_of(entry),
                    mtime: (seconds, 0),
                    executable: false,
                }
            }
            Entry::File {
                mtime,
                mtime_ns,
                executable,
                ..
            } => {
                self.files += 1;
                StepKind::File {
                    size: size_of(entry),
                    mtime: (*mtime, *mtime_ns),
                    executable: *executable,
                }
            }
            Entry::Directory {
                mtime, mtime_ns, ..
            } => StepKind::Directory {
                mtime: (*mtime, *mtime_ns),
            },
            Entry::Symlink { target, .. } if name::check_link(path, target).is_ok() => {
                StepKind::Symlink {
                    target: target.clone(),
                }
            }
            Entry::Symlink { path, .. } => {
                self.skipped_links.push(path.clone());
                StepKind::Skipped
            }
        }
    }
}
