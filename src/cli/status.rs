//! `status`: what this peer is, has and knows.

use serde_json::json;

use super::{
    Context,
    report::{ExitCode, Failure},
    store::blocking,
};
use crate::{
    config::units::Size,
    manifest::Signer as _,
    store::{LocalStore, StoreError},
    tls::{CertsDir, Identity},
    trust::AddressBook,
};

pub(super) async fn run(context: &Context) -> Result<ExitCode, Failure> {
    let output = context.output;
    let home = &context.home;
    output.line(format!("home: {} ({})", home.root().display(), home.why));
    let dir = CertsDir::new(home.certs());
    let identity = Identity::load(&dir)?;
    let (name, id) = (identity.name(), identity.peer_id());
    let role = if dir.ca_key().exists() {
        ", holds the circle's key"
    } else {
        ""
    };
    output.line(format!("peer: {name}  {id}{role}"));
    let serving = LocalStore::serving_address(&home.chunks());
    output.line(
        serving
            .as_ref()
            .map_or("serving: no".to_owned(), |address| {
                format!("serving: {address}")
            }),
    );
    let peers = AddressBook::new(dir.peers()).peers()?.len();
    output.line(format!("peers known: {peers}"));
    let usage = match LocalStore::open_read_only(&home.chunks()) {
        Ok(store) => Some(blocking(move || store.usage()).await?),
        Err(StoreError::NotFound { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    match usage {
        Some(usage) => output.line(format!(
            "store: {} transfers, {} chunks, {}",
            usage.manifests,
            usage.chunks,
            Size(usage.bytes)
        )),
        None => output.line("store: none yet"),
    }
    output.object(
        "status",
        &json!({
            "home": home.root().to_string_lossy(), "why": home.why, "name": name, "peer_id": id,
            "serving": serving, "peers": peers, "store": usage,
        }),
    );
    Ok(ExitCode::Ok)
}
