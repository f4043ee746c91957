//! How a command fails for a folder of sealed files.

use super::Failure;
use crate::session::FolderError;

const AGAIN: &str = "remove it, then download or copy it again; the other files are kept";
const ANEW: &str = "remove the folder and seal again, or choose another: --out DIR";
const ANOTHER: &str = "choose another folder: --out DIR";

impl From<FolderError> for Failure {
    fn from(error: FolderError) -> Self {
        let failure = Self::of(&error);
        match error {
            FolderError::NotForSealing(_) | FolderError::Taken(_) => failure.hint(ANOTHER),
            FolderError::NotSealed(_) => {
                failure.hint("name the folder that has chunks/ and manifests/ in it")
            }
            FolderError::Lacks { .. } => failure.hint(ANEW),
            FolderError::NotContinued(error) => Self::from(*error).hint(ANEW),
            FolderError::BadManifest { .. } | FolderError::Damaged { .. } => failure.hint(AGAIN),
            FolderError::NoManifest(_) => {
                failure.hint("if sealing was cut short, run the same `colis seal` again")
            }
            FolderError::Missing { .. } => {
                failure.hint("download or copy it too; the other files are kept")
            }
        }
    }
}
