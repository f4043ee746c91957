//! What keeps some commands from working in a home that can be opened: `doctor` and `status` say the same of it.

use std::{borrow::Cow, io};

use super::{
    Error, Home,
    advice::{bad_record, no_rights},
    existing,
};
use crate::{
    config::units::count,
    disk::lacks,
    id::{PeerId, Short as _},
    peer::{History, Notice},
    private,
    store::{LocalStore, Missing, StoreError},
    tls::{CertsDir, ca},
    trust::AddressBook,
};

/// Nothing can be stored.
pub(crate) const READ_ONLY: &str = "store-read-only";

/// A file that cannot be used.
pub(crate) struct Damage {
    /// The step of `doctor` that fails for it.
    pub(crate) step: &'static str,
    /// As in [`Notice::code`].
    code: &'static str,
    /// What does not work then.
    pub(crate) loss: Cow<'static, str>,
    pub(crate) error: Error,
    /// What to do, unless the error says it.
    pub(crate) hint: Option<String>,
}

/// What to do about a damaged transfer.
pub(crate) const AGAIN: &str = "its sender puts back what is missing where it kept a copy (there: colis check PEER ID --repair), or \
    sends it again; then let this one go: colis inbox refuse ID";

/// Damaged transfers that a notice names.
const NAMED: usize = 3;

/// What to do where nothing can be written.
pub(crate) const CANNOT_WRITE: &str =
    "nothing is stored until it can be: look at that disk (dmesg, mount) and whose the folder is";

/// The step that says it of each disk itself.
const OWN_STEP: &str = "disk-to-write";

/// Each such file of `home`. What keeps every command from working, each says for itself.
pub(crate) fn damages(home: &Home) -> Vec<Damage> {
    let all = [
        record(&home.dir()),
        lock(home),
        history(home),
        disk(home),
        data(home),
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
        loss: "nobody can join or be renewed".into(),
        hint: Some(bad_record(&error).to_owned()),
        error: error.into(),
    })
}

fn lock(home: &Home) -> Option<Damage> {
    let error = LocalStore::check_holder(&home.chunks(), &home.store_mark()).err()?;
    Some(Damage {
        step: "store",
        code: "store-unusable",
        loss: "the store cannot be opened".into(),
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
        loss: "the history cannot be read".into(),
        hint: no_rights(&path, &source),
        error: StoreError::Io { path, source }.into(),
    })
}

/// That nothing can be written where the store is. A full disk is said where it is counted.
fn disk(home: &Home) -> Option<Damage> {
    let path = home.chunks();
    let source = lacks(&existing(&path)).err()?;
    let is_full = matches!(
        source.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    );
    (!is_full).then(|| Damage {
        step: OWN_STEP,
        code: READ_ONLY,
        loss: "nothing can be stored".into(),
        error: StoreError::Io { path, source }.into(),
        hint: Some(CANNOT_WRITE.to_owned()),
    })
}

/// Transfers whose chunks were damaged on disk, whose they are, and what helps.
fn data(home: &Home) -> Option<Damage> {
    let store = LocalStore::look_at_known(&home.chunks(), &home.store_mark()).ok()?;
    let damaged = store.damaged().ok()?;
    let chunk = damaged.first()?.1;
    let known = AddressBook::new(home.dir().peers()).peers();
    let known = known.unwrap_or_default();
    let name = |id: PeerId| {
        let known = known.iter().find(|peer| peer.peer_id == id);
        known.map_or_else(|| id.short(), |peer| peer.called().to_owned())
    };
    let named = damaged.iter().take(NAMED);
    let named = named.map(|(info, _)| format!("{} from {}", info.id.short(), name(info.sender)));
    let (named, more) = (named.collect::<Vec<_>>().join(", "), damaged.len() > NAMED);
    let what = count(damaged.len(), "transfer", "transfers");
    let others = if more { " and others" } else { "" };
    Some(Damage {
        step: "store",
        code: "data-damaged",
        loss: format!("{what} in the store cannot be opened any more ({named}{others})").into(),
        error: StoreError::NotFound(Missing::Damaged(chunk)).into(),
        hint: Some(AGAIN.to_owned()),
    })
}
