//! What the server is told about certificates: who may connect, as of now, and what the circle's machine answers.

use std::{path::PathBuf, sync::Arc, time::SystemTime};

use arc_swap::ArcSwap;
use futures::future::BoxFuture;
use rustls::ServerConfig;

use super::modified_of;
use crate::{
    server::{CircleDesk, Gate, RenewError},
    tls::{self, Caller, CertsDir, CircleHandle, Identity, TlsError, ca},
};

/// The certificates of a running peer, which may be replaced while it runs.
pub(super) struct Door {
    dir: CertsDir,
    circle: CircleHandle,
    current: Arc<ArcSwap<Current>>,
}

/// What an identity gives to every handshake.
struct Current {
    config: Arc<ServerConfig>,
    bundle: String,
}

impl Current {
    fn new(identity: &Identity, circle: &CircleHandle) -> Result<Self, TlsError> {
        let config = tls::server_config(identity, circle)?;
        let bundle = String::from_utf8_lossy(identity.bundle()?.envelope()).into_owned();
        Ok(Self { config, bundle })
    }
}

impl Door {
    pub(super) fn new(
        dir: CertsDir,
        identity: &Identity,
        circle: CircleHandle,
    ) -> Result<Self, TlsError> {
        let current = Arc::new(ArcSwap::from_pointee(Current::new(identity, &circle)?));
        Ok(Self {
            dir,
            circle,
            current,
        })
    }

    pub(super) fn bundle(&self) -> Arc<dyn Fn() -> String + Send + Sync> {
        let current = self.current.clone();
        Arc::new(move || current.load().bundle.clone())
    }

    /// When the files were changed last.
    pub(super) fn modified(&self) -> Vec<Option<(SystemTime, u64)>> {
        let dir = &self.dir;
        let paths: [PathBuf; 5] = [
            dir.ca_cert(),
            dir.crl(),
            dir.server_cert(),
            dir.server_key(),
            dir.seal_key(),
        ];
        modified_of(&paths)
    }

    /// Reads the files again. What cannot be used changes nothing.
    pub(super) fn reload(&self) -> Result<(), TlsError> {
        self.circle.reload(&self.dir)?;
        let identity = Identity::load(&self.dir)?;
        self.current
            .store(Arc::new(Current::new(&identity, &self.circle)?));
        Ok(())
    }
}

impl Gate for Door {
    fn server_config(&self) -> Arc<ServerConfig> {
        self.current.load().config.clone()
    }

    fn caller(&self, certificate: &[u8]) -> Option<Caller> {
        Caller::from_certificate(certificate).ok()
    }

    fn is_revoked(&self, caller: &Caller) -> bool {
        self.circle.now().is_revoked(&caller.serial)
    }
}

impl CircleDesk for Door {
    fn revocation_list(&self) -> Option<String> {
        self.circle.now().crl_pem().map(str::to_owned)
    }

    fn renew<'a>(
        &'a self,
        caller: &'a Caller,
        request: &'a str,
    ) -> BoxFuture<'a, Result<String, RenewError>> {
        let (dir, caller, request) = (self.dir.clone(), caller.clone(), request.to_owned());
        Box::pin(async move {
            let signed =
                tokio::task::spawn_blocking(move || ca::sign_renewal(&dir, &request, &caller))
                    .await;
            let signed = signed.map_err(|e| RenewError::Failed {
                reason: e.to_string(),
            })?;
            signed.map_err(|error| match error {
                TlsError::NotTheCircle { .. } => RenewError::NotTheCircle,
                TlsError::Refused { reason } => RenewError::Refused { reason },
                other => RenewError::Failed {
                    reason: other.to_string(),
                },
            })
        })
    }
}
