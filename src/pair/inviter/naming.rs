//! What a machine that joins is called: as it wants, or by another name that is free. Only one that has proved that it knows the
//! code gets so far, so nobody else learns who is in the circle.

use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};

use super::{
    super::card::{self, OTHER_NAMES, OtherName, Taken},
    House, Kind, PairError, frame,
};
use crate::{
    tls::{
        TlsError, WhyRefused,
        ca::{self, Admitted, Newcomer},
    },
    trust::{TrustError, names_like},
};

impl House {
    /// Signs the keys of a machine that may be called as it wants, or takes another name that it is told.
    pub(super) async fn admit_as_it_can_be(
        &self,
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
        mut newcomer: Newcomer,
    ) -> Result<Admitted, PairError> {
        for _ in 0..OTHER_NAMES {
            let error = match self.admit(&newcomer).await {
                Err(error) if is_about_its_name(&error) => error,
                done => return done,
            };
            let taken = Taken {
                reason: self.why_taken(&error, &newcomer.name).await,
                free: self.name_like(&newcomer.name).await,
            };
            let taken = serde_json::to_vec(&taken).map_err(PairError::failed)?;
            frame::write(stream, Kind::Taken, &taken, self.options.step).await?;
            let Ok(other) = self.hear(stream, Kind::OtherName).await else {
                return Err(error);
            };
            newcomer.name = card::parse::<OtherName>(&other)?.name;
        }
        self.admit(&newcomer).await
    }

    /// Fails if a machine that joins cannot be called so.
    pub(super) async fn check_name(&self, name: String) -> Result<(), PairError> {
        let wanted = name.clone();
        // What is on record here says more than the answer of a member.
        let free = self.on_disk(move |certs| ca::check_joining_name(certs, &wanted));
        free.await?;
        match (self.taken)(name.clone()).await {
            Some(_) => Err(TlsError::AlreadyIssued { name, until: None }.into()),
            None => Ok(()),
        }
    }

    /// What is said of a name that is taken: also how its machine is revoked, if it is lost. By its id, because who is on no record
    /// has no name here, and never of this machine itself.
    async fn why_taken(&self, error: &PairError, name: &str) -> String {
        if !matches!(error, PairError::Tls(TlsError::AlreadyIssued { .. })) {
            return error.to_string();
        }
        let called = name.to_owned();
        let recorded = self
            .on_disk(move |certs| ca::holder_on_record(certs, &called))
            .await;
        let holder = match recorded.ok().flatten() {
            None => (self.taken)(name.to_owned()).await,
            recorded => recorded,
        };
        let lost = holder.map(|id| {
            format!(". If that machine is lost, on the circle's machine: colis certs revoke {id}")
        });
        format!("{error}{}", lost.unwrap_or_default())
    }

    /// A name like this one that is free, if one is found while the other machine still waits.
    async fn name_like(&self, name: &str) -> Option<String> {
        let looking = async {
            for free in names_like(name) {
                if self.check_name(free.clone()).await.is_ok() {
                    return Some(free);
                }
            }
            None
        };
        timeout(self.options.step / 2, looking).await.ok().flatten()
    }
}

/// Whether another name helps.
fn is_about_its_name(error: &PairError) -> bool {
    matches!(
        error,
        PairError::Tls(
            TlsError::BadName
                | TlsError::AlreadyIssued { .. }
                | TlsError::Refused(WhyRefused::HostName | WhyRefused::OwnName { .. })
                | TlsError::Trust(TrustError::AliasTaken { .. })
        )
    )
}

#[cfg(test)]
mod tests;
