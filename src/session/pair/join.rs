//! The new machine: it looks for the one that shows a code, and joins by what its person types.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use super::{
    IfTaken, Inviter, JoinedCircle, OfOwnAuthority,
    find::{Found, Looking},
    need_own_authority, own_name, serving_port,
};
use crate::{
    config::Config,
    manifest::Signer as _,
    pair::{self, Code, Joined, PairError, PairOptions, Wish},
    session::{
        Error, Event, Home, Mistake, Reporter,
        certs::{check_may_leave, rules_of},
    },
    tls::{self, CertsDir},
};

/// The circle to join.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct JoinRequest {
    /// The machine that shows the code.
    pub inviter: Inviter,
    /// The name that this machine is to have; none for that of its host.
    pub name: Option<String>,
    /// What is done if another machine is called so.
    pub if_taken: IfTaken,
    /// The port where this machine will serve; none for that of its settings, if that is free.
    pub port: Option<u16>,
}

impl JoinRequest {
    /// The circle of this machine, under the name of the host.
    pub fn of(inviter: Inviter) -> Self {
        Self {
            inviter,
            name: None,
            if_taken: IfTaken::default(),
            port: None,
        }
    }
}

/// A machine that shows a code, which was found. Nothing is written until it has been joined.
pub struct Joining {
    config: Config,
    reporter: Arc<dyn Reporter>,
    inviter: Inviter,
    found: Found,
    name: String,
    if_taken: IfTaken,
    home: Home,
    certs: CertsDir,
    port: Option<u16>,
    is_last_step: Arc<AtomicBool>,
}

impl Joining {
    /// Looks for the machine that shows a code: at the host that was named, else in the network, which is told as
    /// [`Event::Inviter`].
    ///
    /// # Errors
    /// Fails if the home has certificates of a circle with other members, or is served, the name is none, or the machine is not found.
    pub async fn find(
        home: &Home,
        config: &Config,
        reporter: &Arc<dyn Reporter>,
        request: JoinRequest,
    ) -> Result<Self, Error> {
        if Code::is_meant_by(request.inviter.called()) {
            return Err(Mistake::CodeForHost.into());
        }
        let certs = home.dir();
        need_own_authority(&certs, OfOwnAuthority::Pair)?;
        tls::remove_left_keys(&certs)?;
        tls::Joining::check_place(&certs).map_err(PairError::from)?;
        let alone = tls::name_alone(&certs);
        if alone.is_some() {
            check_may_leave(home, config).await?;
        }
        let name = own_name(request.name.or(alone).as_deref(), &**reporter)?;
        let looking = Looking { config, reporter };
        Ok(Self {
            found: (request.inviter.find(looking).await)
                .map_err(|error| request.inviter.unless_it_is_here(error))?,
            inviter: request.inviter,
            name,
            certs,
            if_taken: request.if_taken,
            home: home.clone(),
            port: match request.port {
                Some(port) => Some(port),
                None => serving_port(home, config, None).unwrap_or_default(),
            },
            config: config.clone(),
            reporter: reporter.clone(),
            is_last_step: Arc::default(),
        })
    }

    /// Looks whether a code is shown there, so that nobody types one for nobody. No try is lost.
    ///
    /// # Errors
    /// Fails if nobody answers there, or no machine that lets others join.
    pub async fn reach(&mut self) -> Result<(), Error> {
        let options = PairOptions::default();
        let knocked = pair::knock(&self.found.addresses, &options).await;
        if !matches!(knocked, Err(PairError::Unreachable { .. })) || self.found.host.is_none() {
            return Ok(knocked?);
        }
        let Some(seen) = self.look().await? else {
            return knocked.map_err(|error| self.inviter.unless_it_is_here(error.into()));
        };
        self.found = seen;
        Ok(pair::knock(&self.found.addresses, &options).await?)
    }

    /// Joins by `code`. While [`Self::is_last_step`] this must not be dropped: it ends within seconds.
    ///
    /// # Errors
    /// Fails if the code is wrong, the other machine refuses or does not know the code, or the connection breaks. Then nothing
    /// is written.
    pub async fn join(&self, code: Code) -> Result<JoinedCircle, Error> {
        // A circle without another member makes way once this one is joined: nobody begins to serve it meanwhile.
        let _held = match self.home.is_new() {
            true => None,
            false => check_may_leave(&self.home, &self.config).await?,
        };
        let joined = self.join_one(code).await.map_err(|error| match error {
            Error::Pair(PairError::Unreachable { .. }) => self.inviter.unless_it_is_here(error),
            other => other,
        })?;
        if joined.identity.name() != self.name {
            self.reporter.tell(&Event::Called {
                wanted: self.name.clone(),
                name: joined.identity.name().to_owned(),
                taken: true,
            });
        }
        self.home.keep_store();
        Ok(JoinedCircle {
            name: joined.identity.name().to_owned(),
            peer_id: joined.identity.peer_id(),
            folder: self.certs.path().to_string_lossy().into_owned(),
            issuer: joined.issuer,
            rules: match joined.left {
                Some(_) => rules_of(&self.config),
                None => Vec::new(),
            },
            left: joined
                .left
                .map(|left| left.path().to_string_lossy().into_owned()),
        })
    }

    /// Whether the other machine may count this one as a member already: if [`Self::join`] is dropped then, a member is left
    /// that no machine is.
    pub fn is_last_step(&self) -> bool {
        self.is_last_step.load(Ordering::SeqCst)
    }

    /// Joins where the machine was found. A host may be called as the one that shows the code, and be another: if nobody
    /// answers there, that one is looked for in the network.
    async fn join_one(&self, code: Code) -> Result<Joined, Error> {
        let mut wish = Wish {
            code,
            name: self.name.clone(),
            if_taken: self.if_taken,
            certs: self.certs.clone(),
            port: self.port,
            host: self.found.host.clone(),
            options: PairOptions::default(),
            is_last_step: self.is_last_step.clone(),
        };
        let joined = pair::join(&self.found.addresses, &wish).await;
        if !matches!(joined, Err(PairError::Unreachable { .. })) || wish.host.take().is_none() {
            return Ok(joined?);
        }
        match self.look().await? {
            Some(seen) => Ok(pair::join(&seen.addresses, &wish).await?),
            None => Ok(joined?),
        }
    }

    /// The machine that shows a code under that name in the network; none if it cannot be looked for.
    async fn look(&self) -> Result<Option<Found>, Error> {
        let looking = Looking {
            config: &self.config,
            reporter: &self.reporter,
        };
        match self.inviter.look(looking).await {
            Err(error @ Error::Usage(_)) => Err(error),
            Ok(seen) => Ok(seen),
            Err(_) => Ok(None),
        }
    }
}
