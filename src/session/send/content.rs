//! What is sent: files and folders, or a message.

use std::{io::Cursor, path::PathBuf};

use crate::{
    config::Config,
    session::{Error, Home, Mistake, Session},
    transfer::{Filter, MAX_MESSAGE, MESSAGE_NAME, Sources, TransferError},
};

/// Walks `paths`, less what `filter` says and the folders of `home`, with these settings, in which this program works.
///
/// # Errors
/// Those of [`Sources::walk_filtered`].
pub fn walk(
    home: &Home,
    config: &Config,
    paths: &[PathBuf],
    mut filter: Filter,
) -> Result<Sources, TransferError> {
    filter.own_folders.extend(home.own_folders(config));
    Sources::walk_filtered(paths, &filter)
}

/// A message, which a recipient's inbox shows.
///
/// # Errors
/// Fails if it is empty or too long for one.
pub fn message(text: impl Into<String>) -> Result<Sources, Mistake> {
    let text = text.into();
    if text.is_empty() || text.len() as u64 > MAX_MESSAGE {
        return Err(Mistake::MessageLength { most: MAX_MESSAGE });
    }
    let length = text.len() as u64;
    Ok(Sources::stream(
        MESSAGE_NAME,
        Some(length),
        Cursor::new(text),
    ))
}

impl Session {
    /// Walks files and folders that are to be sent. Private keys of colis below them stay here, and so do the folders of this home
    /// in which this program works.
    ///
    /// # Errors
    /// Fails if one of them cannot be read, or cannot be sent.
    pub fn walk<P: Into<PathBuf>>(
        &self,
        paths: impl IntoIterator<Item = P>,
    ) -> Result<Sources, Error> {
        let paths: Vec<_> = paths.into_iter().map(Into::into).collect();
        Ok(walk(&self.home, &self.config, &paths, Filter::default())?)
    }
}
