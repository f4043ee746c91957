//! One of the demonstration's peers: its home, and what it acts with.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use crate::{
    cli::report::Failure,
    client::{ClientOptions, PeerClient},
    manifest::Signer as _,
    tls::{self, CertsDir, Circle, CircleHandle, Expect, Identity, Seen},
    transfer::{Reader, Sender},
};

pub(super) struct Player {
    pub(super) home: PathBuf,
    pub(super) identity: Arc<Identity>,
    pub(super) circle: CircleHandle,
}

impl Player {
    pub(super) fn load(home: PathBuf) -> Result<Self, Failure> {
        let dir = CertsDir::new(home.join("certs"));
        let identity = Arc::new(Identity::load(&dir)?);
        Ok(Self {
            home,
            identity,
            circle: CircleHandle::new(Circle::load(&dir)?),
        })
    }

    pub(super) fn reader(&self) -> Reader {
        Reader {
            me: self.identity.peer_id(),
            seal_keys: self.identity.seal_keys().clone(),
            password: None,
            verifier: Arc::new(self.circle.clone()),
        }
    }

    pub(super) fn sender(&self) -> Sender {
        Sender {
            signer: self.identity.clone(),
            seal_keys: self.identity.seal_keys().clone(),
            journals: self.home.join("chunks/state/sending"),
        }
    }

    pub(super) fn client(
        &self,
        address: SocketAddr,
        retries: usize,
    ) -> Result<PeerClient, Failure> {
        let config = tls::client_config(
            &self.identity,
            &self.circle,
            Expect::default(),
            &Seen::default(),
        )?;
        let options = ClientOptions {
            retries,
            ..ClientOptions::default()
        };
        Ok(PeerClient::new(
            address.to_string().parse()?,
            config,
            options,
        )?)
    }
}
