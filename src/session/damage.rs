//! What keeps some commands from working in a home that can be opened: `doctor` and `status` say the same of it.

use std::io;

use super::{
    Error, Home,
    advice::{bad_record, no_rights},
};
use crate::{
    peer::{History, Notice},
    private,
    store::{LocalStore, StoreError},
    tls::{CertsDir, ca},
};

/// A file that cannot be used.
pub(crate) struct Damage {
    /// The step of `doctor` that fails for it.
    pub(crate) step: &'static str,
    /// As in [`Notice::code`].
    code: &'static str,
    /// What does not work then.
    loss: &'static str,
    pub(crate) error: Error,
    /// What to do, unless the error says it.
    pub(crate) hint: Option<String>,
}

/// Each such file of `home`. What keeps every command from working, each says for itself.
pub(crate) fn damages(home: &Home) -> Vec<Damage> {
    let all = [
        record(&CertsDir::new(home.certs())),
        lock(home),
        history(home),
    ];
    all.into_iter().flatten().collect()
}

impl From<Damage> for Notice {
    fn from(damage: Damage) -> Self {
        let (loss, error) = (damage.loss, &damage.error);
        let text = match damage.hint {
            Some(hint) => format!("{loss}: {error}; {hint}"),
            None => format!("{loss}: {error}"),
        };
        Self::care(damage.code, text)
    }
}

fn record(dir: &CertsDir) -> Option<Damage> {
    let error = ca::record_fault(dir)?;
    Some(Damage {
        step: "files",
        code: "record-unusable",
        loss: "nobody can join or be renewed",
        hint: Some(bad_record(&error).to_owned()),
        error: error.into(),
    })
}

fn lock(home: &Home) -> Option<Damage> {
    let error = LocalStore::check_holder(&home.chunks(), &home.store_mark()).err()?;
    Some(Damage {
        step: "store",
        code: "store-unusable",
        loss: "the store cannot be opened",
        hint: match &error {
            StoreError::Io { path, source } => no_rights(path, source),
            _ => None,
        },
        error: error.into(),
    })
}

fn history(home: &Home) -> Option<Damage> {
    let history = History::new(&home.chunks());
    let source = private::open(history.path()).err()?;
    let path = history.path().to_owned();
    (source.kind() != io::ErrorKind::NotFound).then(|| Damage {
        step: "store",
        code: "history-unusable",
        loss: "the history cannot be read",
        hint: no_rights(&path, &source),
        error: StoreError::Io { path, source }.into(),
    })
}
