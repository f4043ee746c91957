//! Which store a home has. `chunks/` may be on another disk, and that one not mounted: a store that was made anew there
//! would have no receipts, and transfers that were opened would be opened again.

use std::{fmt, io, path::Path};

use super::{LocalStore, LocalStoreOptions, StoreError, io as io_error, layout::id_at};
use crate::{
    disk::write_durably,
    private,
    store::{BadFormat, InPlace},
};

/// What a store is known by: chosen at random when it is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StoreId([u8; 16]);

impl StoreId {
    pub(super) fn random() -> io::Result<Self> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(|e| io::Error::other(e.to_string()))?;
        Ok(Self(bytes))
    }

    /// The id in a line of its own, as it is printed.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_suffix('\n')?;
        let number = u128::from_str_radix(digits, 16).ok()?;
        let id = Self(number.to_be_bytes());
        (id.to_string() == text).then_some(id)
    }
}

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl LocalStore {
    /// Opens the store at `root` for the home that remembers it in the file `mark`. It is made only if that home never had
    /// one.
    ///
    /// # Errors
    /// [`StoreError::Displaced`], and those of [`open`](Self::open).
    pub fn open_known(
        root: &Path,
        mark: &Path,
        options: LocalStoreOptions,
    ) -> Result<Self, StoreError> {
        Self::check_known(root, mark)?;
        let store = Self::open(root, options)?;
        if !mark.exists()
            && let Err(error) = remember(root, mark)
        {
            tracing::info!(%error, path = %mark.display(), "which store this home has is not remembered");
        }
        Ok(store)
    }

    /// Opens the store at `root`, or makes one, in the place of the one that the home remembers in the file `mark`.
    ///
    /// # Errors
    /// [`StoreError::Io`], and those of [`open`](Self::open).
    pub fn open_instead(
        root: &Path,
        mark: &Path,
        options: LocalStoreOptions,
    ) -> Result<Self, StoreError> {
        check_link(root)?;
        let store = Self::open(root, options)?;
        remember(root, mark).map_err(|e| io_error(mark, e))?;
        Ok(store)
    }

    /// Opens the store at `root` for reading, for the home that remembers it in the file `mark`.
    ///
    /// # Errors
    /// [`StoreError::Displaced`], and those of [`open_read_only`](Self::open_read_only).
    pub fn look_at_known(root: &Path, mark: &Path) -> Result<Self, StoreError> {
        Self::check_known(root, mark)?;
        Self::open_read_only(root)
    }

    /// Checks that the store at `root` is the one that its home remembers in the file `mark`, if it remembers one.
    ///
    /// # Errors
    /// [`StoreError::Displaced`] if none or another is there, [`StoreError::Format`], [`StoreError::Io`].
    pub fn check_known(root: &Path, mark: &Path) -> Result<(), StoreError> {
        check_link(root)?;
        match (known(mark)?, id_at(root)?) {
            (Some(_), None) => displaced(root, InPlace::Nothing),
            (Some(known), Some(there)) if known != there => displaced(root, InPlace::AnotherStore),
            _ => Ok(()),
        }
    }
}

/// What the file `mark` says.
fn known(mark: &Path) -> Result<Option<StoreId>, StoreError> {
    let text = match private::read(mark) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(io_error(mark, e)),
    };
    let damaged = || StoreError::Format {
        path: mark.to_owned(),
        fault: BadFormat::NoStoreId,
    };
    StoreId::parse(&text).map(Some).ok_or_else(damaged)
}

/// Writes the id of the store at `root` into the file `mark`.
fn remember(root: &Path, mark: &Path) -> io::Result<()> {
    match id_at(root) {
        Ok(Some(id)) => write_durably(mark, id.to_string().as_bytes(), 0o600),
        _ => Err(io::ErrorKind::NotFound.into()),
    }
}

fn check_link(root: &Path) -> Result<(), StoreError> {
    match root.is_symlink() && !root.exists() {
        true => displaced(root, InPlace::DeadLink),
        false => Ok(()),
    }
}

fn displaced(root: &Path, found: InPlace) -> Result<(), StoreError> {
    let path = root.to_owned();
    Err(StoreError::Displaced { path, found })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_spelling() {
        let id = StoreId::random().unwrap();
        assert_eq!(StoreId::parse(&id.to_string()), Some(id));
        let text = format!("{:032x}", 10);
        for wrong in [
            text.clone(),
            text.to_uppercase() + "\n",
            format!("+{}\n", &text[1..]),
            text[1..].to_owned() + "\n",
            String::new(),
        ] {
            assert_eq!(StoreId::parse(&wrong), None, "{wrong:?}");
        }
    }
}
