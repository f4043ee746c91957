//! Giving a finished transfer its final names.

use std::{collections::HashSet, io, path::PathBuf};

use rustix::{
    fs::{fstat, renameat},
    io::Errno,
};
use serde::{Deserialize, Serialize};

use super::{ReceivedError, Staging, error_at, io_error, kind_at, place_of, tree};
use crate::{
    disk::{move_new, sync_folder},
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
            }
        });
        let moves: Vec<_> = moves.collect();
        self.write_moves(&moves)?;
        self.make_moves(moves)
    }

    /// Goes on with a publication that was interrupted; `None` if there was none.
    ///
    /// # Errors
    /// [`ReceivedError`].
    pub fn finish_publishing(&self) -> Result<Option<Vec<PathBuf>>, ReceivedError> {
        match tree::read(&self.folder, JOURNAL) {
            Ok(Some(bytes)) => {
                let moves =
                    serde_json::from_slice(&bytes).map_err(|e| io_error(&self.path, e.into()))?;
                self.make_moves(moves).map(Some)
            }
            Ok(None) => Ok(None),
            Err(e) => Err(io_error(&self.path, e)),
        }
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
    fn make_move(&self, Move { from, to }: &Move) -> Result<bool, ReceivedError> {
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
