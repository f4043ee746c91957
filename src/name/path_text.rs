//! Paths of this machine as text.

use std::path::Path;

use serde::{Serialize, Serializer};

/// A path as it is put into an object. A path need not be UTF-8, and JSON must be: each sequence of other bytes becomes
/// U+FFFD. serde's own way fails for such a path, and `json!` then panics.
#[derive(Debug, Clone, Copy)]
pub struct PathText<'a>(pub &'a Path);

impl Serialize for PathText<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        path_as_text(self.0, serializer)
    }
}

/// [`PathText`] for a field that owns its path.
///
/// # Errors
/// What the serializer fails with.
pub fn path_as_text<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _};

    use super::*;

    #[test]
    fn a_path_that_is_no_utf8_is_text_in_an_object() {
        let path = Path::new(OsStr::from_bytes(b"/h\xe9/f"));
        assert!(serde_json::to_value(path).is_err());
        let object = serde_json::json!({"path": PathText(path)});
        assert_eq!(object["path"], "/h\u{fffd}/f");
    }
}
