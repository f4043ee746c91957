//! Renewing: the same key under a new certificate.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{OfOwnAuthority, need_own_authority};
use crate::{
    config::Config,
    manifest::Timestamp,
    peer::after_the_end,
    session::{Error, Home, Reporter, Session, Whom, ask::Asked},
    store::StoreError,
    tls::{self, Caller, Circle, Inspected, Renewed, Seen, ca},
};

/// What is to be renewed, and by whom.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RenewRequest {
    /// The certificate of the peer, or of its scripts.
    pub which: Renewed,
    /// The peer that has the circle's key, by name or address; none for this one if it has it, else the one that made the
    /// circle.
    pub from: Option<String>,
}

impl RenewRequest {
    /// By this peer, or by the one that made the circle.
    pub fn of(which: Renewed) -> Self {
        Self { which, from: None }
    }
}

/// The owner of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CertificateOf {
    /// A peer.
    Peer,
    /// The scripts of a peer.
    Script,
    /// The circle.
    Circle,
}

/// A certificate that was renewed, or is too young for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenewedCertificate {
    /// The name of the peer; none of the circle's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The owner of the certificate.
    pub purpose: CertificateOf,
    /// Until when it counts.
    pub not_after: Timestamp,
    /// Whether it is another than before.
    pub new: bool,
    /// From when on the circle's machine renews it; none of the circle's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewable_from: Option<Timestamp>,
}

/// Renews a certificate of `home`: here, if the circle's key is here and nobody is named; else by another peer.
///
/// # Errors
/// Fails if that peer is not known, does not answer or has no circle's key, if the certificate ended too long ago, or if it is
/// renewed from a time that the clock here has passed and the other's has not.
pub async fn renew(
    home: &Home,
    config: &Config,
    reporter: &Arc<dyn Reporter>,
    request: &RenewRequest,
) -> Result<RenewedCertificate, Error> {
    let (dir, which) = (home.dir(), request.which);
    need_own_authority(&dir, OfOwnAuthority::Renew)?;
    let before = Inspected::of(&dir, which).map(|inspected| inspected.caller.serial);
    let caller = match &request.from {
        None if dir.ca_key().exists() => {
            Asked::known_peers(home, config, reporter).await;
            ca::renew_own(&dir, which)?
        }
        _ => ask(home, config, reporter, request).await?,
    };
    let new = before.ok().as_ref() != Some(&caller.serial);
    let (circle, now) = (Circle::load(&dir)?.not_after(), Timestamp::now());
    if !new && ca::clocks_differ(&caller, circle, now) {
        return Err(Error::ClocksDiffer {
            now,
            not_after: caller.not_after,
            renewable_from: ca::renewable_from(&caller),
        });
    }
    Ok(RenewedCertificate {
        purpose: match which {
            Renewed::Peer => CertificateOf::Peer,
            Renewed::Script => CertificateOf::Script,
        },
        not_after: caller.not_after,
        new,
        renewable_from: Some(ca::renewable_from(&caller)),
        name: Some(caller.name),
    })
}

/// Renews the circle's own certificate, on its machine: the same name and key, for ten more years.
///
/// # Errors
/// Fails without the circle's key.
pub fn renew_circle(home: &Home) -> Result<RenewedCertificate, Error> {
    need_own_authority(&home.dir(), OfOwnAuthority::RenewCircle)?;
    Ok(RenewedCertificate {
        name: None,
        purpose: CertificateOf::Circle,
        not_after: ca::renew_circle(&home.dir())?,
        new: true,
        renewable_from: None,
    })
}

/// Has it renewed by another machine.
async fn ask(
    home: &Home,
    config: &Config,
    reporter: &Arc<dyn Reporter>,
    request: &RenewRequest,
) -> Result<Caller, Error> {
    let session = || Session::with(home.clone(), config.clone(), reporter.clone());
    let (us, which) = (session()?, request.which);
    let from = match &request.from {
        Some(peer) => peer.clone(),
        None => us.maker()?,
    };
    let signing = tls::renewal_request(&us.dir, which)?;
    let (own, now) = (us.identity().caller().not_after, Timestamp::now());
    let asked = match own < now {
        true => us.ask_ended(&from, &signing).await,
        false => match us.connect(&from).await {
            Ok(reached) => reached.client.renew(&signing).await.map_err(failed),
            Err(error) => Err(error),
        },
    };
    let pem = asked.map_err(|error| match now > ca::last_renewal(own) {
        true => Error::PastRenewal {
            source: Box::new(error),
            todo: after_the_end(&us.dir, Renewed::Peer, own, now),
        },
        false => error,
    })?;
    let renewed = tls::install_renewed(&us.dir, which, &pem)?;
    // The circle's own certificate may have been renewed too. A peer that does not answer now is asked the next time.
    if us.circle().now().is_near_its_end(now)
        && let Ok(us) = session()
    {
        let _ = us.connect(&from).await;
    }
    Ok(renewed)
}

impl Session {
    /// The name here of the peer that made the circle.
    pub(super) fn maker(&self) -> Result<String, Error> {
        let circle = self.circle().now();
        let known = match circle.maker() {
            Some(name) => match self.book.by_certificate_name(name)? {
                None => self.known_here(name)?,
                known => known,
            },
            None => None,
        };
        Ok(known.ok_or(Error::MakerUnknown)?.name)
    }

    /// Asks as a peer whose certificate has ended: nothing else is answered, so the other peer is not asked who it is. Its
    /// handshake has shown that.
    async fn ask_ended(&self, from: &str, request: &str) -> Result<String, Error> {
        let whom = match self.known_here(from)? {
            Some(known) => Whom::Known(Box::new(known)),
            None => Whom::parse(from, &self.book)?,
        };
        let (addresses, expected) = match whom {
            Whom::At(address) => (vec![address], None),
            Whom::Known(known) => {
                let addresses = self.addresses_of(&known);
                let addresses = addresses.iter().filter_map(|a| a.parse().ok());
                (addresses.collect(), Some(known.peer_id))
            }
        };
        let mut last = Error::NowhereToRenew {
            peer: from.to_owned(),
        };
        for address in addresses {
            let (seen, options) = (Seen::default(), self.client_options);
            let client = self.client(&address, expected, &seen, options)?;
            match client.renew(request).await {
                Ok(pem) => return Ok(pem),
                Err(error) => last = failed(error),
            }
        }
        Err(last)
    }
}

fn failed(error: StoreError) -> Error {
    match error {
        StoreError::NotFound { .. } => Error::NoCircleKey,
        other => other.into(),
    }
}
