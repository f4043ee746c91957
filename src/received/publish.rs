//! Giving a finished transfer its final names.

use std::{collections::HashSet, io, path::PathBuf};

use rustix::{
    fs::{AtFlags, fstat, renameat, unlinkat},
    io::Errno,
};
use serde::{Deserialize, Serialize};

use super::{ReceivedError, Staging, error_at, io_error, kind_at, place_of, tree};
use crate::{
    disk::{move_new, sync_folder},
    id::Digest,
    name::SafeName,
    sabotage,
};

const JOURNAL: &str = "publishing";
const JOURNAL_NEW: &str = "publishing.new";

/// One rename that is to be made, or was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Move {
    from: String,
    to: String,
    /// What was built, by which it is known again. A journal of an older version has it not.
    #[serde(default)]
    built: Option<Digest>,
}

impl Staging {
    /// Moves `tops`, which are complete and durable, to their final names. Gives these names.
    ///
    /// # Errors
    /// [`ReceivedError`]; calling it or [`finish_publishing`](Self::finish_publishing) again goes on where it stopped.
    pub fn publish(&self, tops: &[SafeName]) -> Result<Vec<PathBuf>, ReceivedError> {
        if let Some(paths) = self.finish_publishing()? {
            return Ok(paths);
        }
        let mut taken = HashSet::new();
        let moves = tops.iter().map(|top| {
            let to = self.free_name(top, &taken);
            taken.insert(to.clone());
            Move {
                from: top.to_string(),
                to: to.to_string(),
                built: tree::state(&self.tree, top.as_str()).ok(),
            }
        });
        let moves: Vec<_> = moves.collect();
        self.write_moves(&moves)?;
        self.make_moves(moves)
    }

    /// Goes on with a publication that was interrupted; `None` if there was none, or if something that was moved is not there
    /// any more as it was built, because its owner has removed or changed it since: then nothing is staged any more, and all of
    /// it is received anew.
    ///
    /// # Errors
    /// [`ReceivedError`].
    pub fn finish_publishing(&self) -> Result<Option<Vec<PathBuf>>, ReceivedError> {
        match tree::read(&self.folder, JOURNAL) {
            Ok(Some(bytes)) => {
                let moves: Vec<Move> =
                    serde_json::from_slice(&bytes).map_err(|e| io_error(&self.path, e.into()))?;
                if !moves.iter().all(|one| self.is_as_built(one)) {
                    tracing::info!("what was published is not as it was built: received anew");
                    self.forget_publication()?;
                    return Ok(None);
                }
                self.make_moves(moves).map(Some)
            }
            Ok(None) => Ok(None),
            Err(e) => Err(io_error(&self.path, e)),
        }
    }

    /// Whether it is still staged, or stands untouched where it was moved to.
    fn is_as_built(&self, Move { from, to, built }: &Move) -> bool {
        let is_it = |built: &Digest| tree::state(&self.root, to).is_ok_and(|now| now == *built);
        kind_at(&self.tree, from).is_some() || built.as_ref().is_some_and(is_it)
    }

    /// Forgets all that is staged. The journal of the publication goes last: without it the rest would count.
    fn forget_publication(&self) -> Result<(), ReceivedError> {
        self.remove_journal()?;
        self.clear()?;
        unlinkat(&self.folder, JOURNAL, AtFlags::empty()).map_err(|e| error_at(&self.path, e))
    }

    fn make_moves(&self, mut moves: Vec<Move>) -> Result<Vec<PathBuf>, ReceivedError> {
        for index in 0..moves.len() {
            while !self.make_move(&moves[index])? {
                // Somebody took the name since it was chosen.
                let taken = moves
                    .iter()
                    .map(|m| SafeName::new(&m.to, crate::name::Place::TopLevel))
                    .collect();
                let from = SafeName::new(&moves[index].from, crate::name::Place::TopLevel);
                moves[index].to = self.free_name(&from, &taken).to_string();
                self.write_moves(&moves)?;
            }
        }
        let synced = sync_folder(&*self.root).and_then(|()| fstat(&*self.root));
        // The second is what tells the truth on XFS that has shut itself down.
        let root = synced.map_err(|e| error_at(&self.root_path, e))?;
        if root.st_nlink == 0 {
            // Removed meanwhile, and what was moved into it with it.
            return Err(error_at(&self.root_path, Errno::NOENT));
        }
        self.discard();
        let place = place_of(&self.root, &self.root_path);
        Ok(moves.into_iter().map(|m| place.join(m.to)).collect())
    }

    /// Gives whether the name was free. One that is not in the staging any more was moved before.
    fn make_move(&self, Move { from, to, .. }: &Move) -> Result<bool, ReceivedError> {
        let moved = if sabotage::without("no-replace") {
            renameat(&self.tree, from, &*self.root, to)
        } else {
            move_new((&self.tree, from), (&*self.root, to))
        };
        match moved {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) if kind_at(&self.tree, from).is_none() => Ok(true),
            Err(Errno::EXIST) => Ok(kind_at(&self.tree, from).is_none()),
            Err(e) => Err(error_at(&self.root_path.join(to), e)),
        }
    }

    fn free_name(&self, wanted: &SafeName, taken: &HashSet<SafeName>) -> SafeName {
        let numbered = (2..).map(|n| wanted.numbered(n));
        let mut names = std::iter::once(wanted.clone()).chain(numbered);
        let free =
            |name: &SafeName| !taken.contains(name) && kind_at(&self.root, name.as_str()).is_none();
        names.find(free).unwrap_or_else(|| wanted.clone())
    }

    /// Writes the journal so that it is there whole or not at all.
    fn write_moves(&self, moves: &[Move]) -> Result<(), ReceivedError> {
        let bytes = serde_json::to_vec(moves).map_err(|e| io_error(&self.path, e.into()))?;
        let mut file = self.new_file(JOURNAL_NEW)?;
        let written = io::Write::write_all(&mut file, &bytes).and_then(|()| {
            file.sync_all()?;
            Ok(renameat(&self.folder, JOURNAL_NEW, &self.folder, JOURNAL)?)
        });
        written.map_err(|e| io_error(&self.path, e))?;
        sync_folder(&self.folder).map_err(|e| error_at(&self.path, e))
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;
    use crate::{
        name::RelPath,
        received::{EntryKind, Layout, Received},
    };

    /// Two files and a folder with one, of which the first and the folder have their final names: then the process ends.
    fn crash_between(root: &Path) -> Received {
        let received = Received::open(root).unwrap();
        let (staging, mut layout) = (received.stage("ab-1").unwrap(), Layout::default());
        let mut add = |path: &str, kind| {
            let path = RelPath::parse(path).unwrap();
            layout.add(&path, kind).unwrap()
        };
        let folder = add("d", EntryKind::Directory);
        staging.create_dir(&folder).unwrap();
        for path in ["d/in", "one", "two"] {
            let file = staging.create_file(&add(path, EntryKind::Leaf), 3);
            file.unwrap().write_at(b"abc", 0).unwrap();
        }
        let moves = ["d", "one", "two"].map(|name| Move {
            from: name.to_owned(),
            to: name.to_owned(),
            built: Some(tree::state(&staging.tree, name).unwrap()),
        });
        staging.write_moves(&moves).unwrap();
        assert!(staging.make_move(&moves[0]).unwrap());
        assert!(staging.make_move(&moves[1]).unwrap());
        received
    }

    #[test]
    fn a_publication_that_nobody_has_touched_is_finished() {
        let root = tempfile::tempdir().unwrap();
        let received = crash_between(root.path());
        let paths = received.stage("ab-1").unwrap().finish_publishing();
        let expected = ["d", "one", "two"].map(|name| root.path().join(name));
        assert_eq!(paths.unwrap().unwrap(), expected);
        assert!(root.path().join("two").exists());
    }

    #[test]
    fn what_its_owner_has_removed_or_changed_meanwhile_is_received_anew() {
        type Touch = fn(&Path);
        let touched: [(&str, Touch); 4] = [
            ("removed", |root| fs::remove_file(root.join("one")).unwrap()),
            ("changed", |root| {
                fs::write(root.join("one"), "abcd").unwrap()
            }),
            ("exchanged", |root| {
                fs::write(root.join("new"), "abc").unwrap();
                fs::rename(root.join("new"), root.join("one")).unwrap();
            }),
            ("removed folder", |root| {
                fs::remove_dir_all(root.join("d")).unwrap();
            }),
        ];
        for (what, touch) in touched {
            let root = tempfile::tempdir().unwrap();
            let received = crash_between(root.path());
            touch(root.path());
            let staging = received.stage("ab-1").unwrap();
            assert_eq!(staging.finish_publishing().unwrap(), None, "{what}");
            assert!(!root.path().join("two").exists(), "{what}");
            assert!(staging.is_new().unwrap(), "{what}");
            assert_eq!(staging.finish_publishing().unwrap(), None, "{what}");
        }
    }
}
