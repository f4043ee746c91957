//! From what a person types for a peer to a connection with the one that is meant.

use std::{
    num::{NonZeroU64, NonZeroUsize},
    sync::Arc,
    time::Duration,
};

use futures::{StreamExt as _, stream::FuturesUnordered};
use tokio::time::sleep;

use super::{
    Context,
    report::{ExitCode, Failure},
    seen, store,
    whom::{self, Whom},
};
use crate::{
    client::{ClientOptions, Line, PeerAddress, PeerClient},
    config::units::SizeText,
    id::{ManifestId, PeerId, Short as _},
    manifest::{Claim, Signer as _, Timestamp, Verifier, VerifyError},
    name::Escaped,
    peer::{Reasons, exchange_lists},
    store::{LocalStore, LocalStoreOptions, Pace, PacedStore, Store, StoreError, TransferState},
    tls::{self, CertsDir, Circle, CircleHandle, Expect, Identity, Seen, ca},
    transfer::{Reader, SendOptions, Sender},
    trust::{AddressBook, KnownPeer, Roles, SignedBundle},
};

/// How long an address is tried before the next one is tried beside it (RFC 8305, section 5).
const HEAD_START: Duration = Duration::from_millis(250);

/// Who we are and whom we know.
pub(super) struct Us {
    pub(super) dir: CertsDir,
    pub(super) identity: Arc<Identity>,
    pub(super) circle: CircleHandle,
    pub(super) book: AddressBook,
    /// What all our clients share.
    line: Line,
    roles: Roles,
}

/// Believes members of the circle that are not blocked here.
struct Judge {
    circle: CircleHandle,
    roles: Roles,
}

impl Judge {
    fn check_not_blocked(&self, sender: PeerId) -> Result<(), VerifyError> {
        match self.roles.is_blocked(sender) {
            true => Err(VerifyError::Blocked { sender }),
            false => Ok(()),
        }
    }
}

impl Verifier for Judge {
    fn verify(&self, claim: &Claim<'_>) -> Result<String, VerifyError> {
        let name = self.circle.verify(claim)?;
        self.check_not_blocked(claim.sender)?;
        Ok(name)
    }

    fn verify_unknown(&self, claim: &Claim<'_>) -> Result<(), VerifyError> {
        self.check_not_blocked(claim.sender)?;
        self.circle.verify_unknown(claim)
    }
}

/// A peer that answers.
pub(super) struct Reached {
    pub(super) client: PeerClient,
    pub(super) peer: KnownPeer,
}

/// Our own store: in our hands, or behind the peer of ours that is serving it.
pub(super) enum OwnStore {
    Direct(Arc<LocalStore>),
    Served(PeerClient),
}

impl OwnStore {
    pub(super) fn as_store(&self) -> Arc<dyn Store> {
        match self {
            Self::Direct(store) => store.clone(),
            Self::Served(client) => Arc::new(client.clone()),
        }
    }

    /// Remembers what became of a transfer, also if a peer of ours is serving the store.
    pub(super) async fn record(
        &self,
        context: &Context,
        id: ManifestId,
        state: TransferState,
    ) -> Result<(), Failure> {
        let store = match self {
            Self::Direct(store) => store.clone(),
            Self::Served(_) => Arc::new(store::look(context)?),
        };
        let recorded = tokio::task::spawn_blocking(move || store.record_state(id, state)).await;
        recorded.map_err(|e| Failure::new(ExitCode::Storage, e))??;
        Reasons::new(&context.home.chunks()).forget(id);
        Ok(())
    }
}

impl Us {
    pub(super) fn load(context: &Context) -> Result<Self, Failure> {
        let dir = CertsDir::new(context.home.certs());
        let identity = Arc::new(Identity::load(&dir)?);
        let circle = CircleHandle::new(Circle::load(&dir)?);
        let book = AddressBook::new(dir.peers());
        let default = context.config.default_role.unwrap_or_default();
        let roles = Roles::new(identity.peer_id(), default, book.roles()?);
        Ok(Self {
            dir,
            identity,
            circle,
            book,
            line: Line::default(),
            roles,
        })
    }

    pub(super) fn sender(&self, context: &Context) -> Sender {
        Sender {
            signer: self.identity.clone(),
            seal_keys: self.identity.seal_keys().clone(),
            journals: context.home.journals(),
        }
    }

    pub(super) fn reader(&self) -> Reader {
        Reader {
            me: self.identity.peer_id(),
            seal_keys: self.identity.seal_keys().clone(),
            password: None,
            verifier: Arc::new(Judge {
                circle: self.circle.clone(),
                roles: self.roles.clone(),
            }),
        }
    }

    /// What a peer is called, if it is known. It must have shown that it is this peer.
    pub(super) fn known_name(&self, id: PeerId) -> Option<String> {
        if id == self.identity.peer_id() {
            return Some(self.identity.name().to_owned());
        }
        let known = self.book.peers().unwrap_or_default();
        let known = known.into_iter().find(|peer| peer.peer_id == id);
        known.map(|peer| peer.shown())
    }

    /// Whether this peer may do nothing here.
    pub(super) fn is_blocked(&self, id: PeerId) -> bool {
        self.roles.is_blocked(id)
    }

    /// Whether `text` is a name of the address book.
    pub(super) fn knows(&self, text: &str) -> Result<bool, Failure> {
        Ok(whom::known(text, &self.book)?.is_some())
    }

    /// Who `text` means, as a recipient: known names need not be online.
    pub(super) async fn recipient(
        &self,
        context: &Context,
        text: &str,
    ) -> Result<KnownPeer, Failure> {
        let known = match Whom::parse(text, &self.book)? {
            Whom::Known(known) => *known,
            Whom::At(address) => self.reach_host(context, text, &address).await?.peer,
        };
        self.check_not_revoked(&known)?;
        Ok(known)
    }

    /// Connects to the peer that `text` names or where it is.
    pub(super) async fn reach(&self, context: &Context, text: &str) -> Result<Reached, Failure> {
        match Whom::parse(text, &self.book)? {
            Whom::Known(known) => self.reach_known(context, &known).await,
            Whom::At(address) => self.reach_host(context, text, &address).await,
        }
    }

    async fn reach_host(
        &self,
        context: &Context,
        text: &str,
        address: &PeerAddress,
    ) -> Result<Reached, Failure> {
        let reached = self.reach_at(context, address, None).await;
        reached.map_err(|failure| whom::with_a_port(text, &self.book, failure))
    }

    /// Connects to a peer that may not be known yet: what is no name is a host, also without a dot.
    pub(super) async fn meet(&self, context: &Context, text: &str) -> Result<Reached, Failure> {
        match whom::known(text, &self.book)? {
            Some(known) => self.reach_known(context, &known).await,
            None => self.reach_at(context, &text.trim().parse()?, None).await,
        }
    }

    /// Connects to a known peer, wherever it answers first. An address that swallows what is sent to it, as one of an earlier
    /// network does, holds the next one up for [`HEAD_START`] only.
    pub(super) async fn reach_known(
        &self,
        context: &Context,
        known: &KnownPeer,
    ) -> Result<Reached, Failure> {
        let mut last = Failure::new(
            ExitCode::NotFound,
            format!("no address of {} is known", known.name),
        )
        .hint(match known.peer_id == self.identity.peer_id() {
            true => format!(
                "it is this peer, and does not serve; to keep something here: colis share PATH --to {}",
                known.name
            ),
            false => format!(
                "say where it is once: colis peers add HOST:PORT (its name is {})",
                known.name
            ),
        });
        let mut waiting = known.addresses.iter();
        let mut failed = Vec::new();
        let mut tries = FuturesUnordered::new();
        loop {
            if let Some(address) = waiting.next() {
                let (address, id) = (address.parse::<PeerAddress>()?, known.peer_id);
                tries.push(async move { self.reach_at(context, &address, Some(id)).await });
            }
            let ended = tokio::select! {
                ended = tries.next() => ended,
                () = sleep(HEAD_START), if waiting.len() > 0 => continue,
            };
            // Another machine may have got an old address. That it answers there is said rather than that no one does elsewhere.
            match ended {
                Some(Ok(reached)) => return Ok(reached),
                Some(Err(failure)) => {
                    failed.push(failure.what().to_owned());
                    if last.code != ExitCode::Trust {
                        last = failure;
                    }
                }
                None => break,
            }
        }
        match seen::find_again(self, context, known).await {
            Some(reached) => Ok(reached),
            None if last.code == ExitCode::Network && failed.len() > 1 => {
                Err(last.saying(failed.join("; ")))
            }
            None => Err(last),
        }
    }

    pub(super) async fn reach_at(
        &self,
        context: &Context,
        address: &PeerAddress,
        expected: Option<PeerId>,
    ) -> Result<Reached, Failure> {
        let seen = Seen::default();
        // Whoever is not there at all is said to be so soon; what has begun is tried for longer.
        let first = ClientOptions {
            retries: 1,
            ..ClientOptions::default()
        };
        let client = self.client(address, expected, &seen, first)?;
        let body = client.peer().await?;
        let signed = SignedBundle::parse(body.bundle)?;
        let certified = signed.verify(&self.circle, Timestamp::now())?;
        let bundle = signed.payload();
        // The circle gives names: a member must not take another's in our address book.
        if certified != bundle.name {
            let what = format!(
                "{address} calls itself {}, its certificate says {certified}",
                bundle.name
            );
            return Err(Failure::new(ExitCode::Trust, what));
        }
        if seen
            .caller()
            .is_none_or(|caller| caller.key_id != bundle.peer_id)
        {
            let what = format!(
                "{address} showed the bundle of another peer ({})",
                bundle.peer_id.short()
            );
            return Err(Failure::new(ExitCode::Trust, what));
        }
        // From here on only this peer will do: the client takes no other than the first that it saw.
        let client = client.with_retries(ClientOptions::default().retries);
        let is_new = self.book.by_certificate_name(&bundle.name)?.is_none();
        let (peer, unwritten) = self.book.learn(&signed, &address.to_string())?;
        if let Some(error) = &unwritten {
            context
                .output
                .warn(format!("colis: {address} is not remembered: {error}"));
        }
        if is_new && unwritten.is_none() {
            let name = Escaped::new(&peer.name);
            context.output.talk(format!(
                "{address} is {name}, peer {}; remembered",
                peer.peer_id.short()
            ));
        }
        self.exchange_lists(&client).await;
        self.record_found(context, &bundle.certificate);
        Ok(Reached { client, peer })
    }

    /// On the circle's machine: a member that is on no record was issued after the copy was made that this home is.
    fn record_found(&self, context: &Context, certificate: &[u8]) {
        match ca::record_found(&self.dir, certificate) {
            Ok(None) => {}
            Ok(Some(name)) => context.output.warn(format!(
                "{} was on no record here, and is recorded now: was this home restored?",
                Escaped::new(&name)
            )),
            Err(error) => {
                tracing::warn!(error = %Escaped::new(&error.to_string()), "a member is not recorded")
            }
        }
    }

    /// Members pass the revocation list on, both ways; only a newer one that the circle signed is taken.
    async fn exchange_lists(&self, client: &PeerClient) {
        if let Err(error) = exchange_lists(client, &self.circle, &self.dir).await {
            let error = error.to_string();
            let cause = Escaped::new(&error);
            tracing::warn!(peer = %client.address(), %cause, "revocation lists are not exchanged");
        }
    }

    /// Nothing is sealed for somebody whom the circle has taken back.
    pub(super) fn check_not_revoked(&self, peer: &KnownPeer) -> Result<(), Failure> {
        let circle = self.circle.now();
        if !circle.is_key_revoked(&peer.peer_id) {
            return Ok(());
        }
        let (name, number) = (peer.shown(), circle.crl_number());
        let what = format!("{name} is revoked (list {number} of the circle): nothing is sent");
        let hint = "leave it out; or give that machine a new certificate: colis certs issue";
        Err(Failure::new(ExitCode::Trust, what).hint(hint))
    }

    /// A client of the peer at `address`, which must be the expected one.
    pub(super) fn client(
        &self,
        address: &PeerAddress,
        expected: Option<PeerId>,
        seen: &Seen,
        options: ClientOptions,
    ) -> Result<PeerClient, Failure> {
        let expect = Expect {
            peer: expected,
            known: self.book.names()?,
        };
        let config = tls::client_config(&self.identity, &self.circle, expect, seen)?;
        let client = PeerClient::new(address.clone(), config, options)?;
        Ok(client.with_line(self.line.clone()))
    }

    /// Our own store. A peer of ours that is serving holds it: then we ask that one.
    pub(super) fn own_store(&self, context: &Context) -> Result<OwnStore, Failure> {
        let path = context.home.chunks();
        match store::open(context) {
            Ok(store) => Ok(OwnStore::Direct(Arc::new(store))),
            Err(error @ StoreError::Locked { .. }) => {
                let Some(address) = LocalStore::serving_address(&path) else {
                    return Err(error.into());
                };
                let client = self.client(
                    &address.parse()?,
                    Some(self.identity.peer_id()),
                    &Seen::default(),
                    ClientOptions::default(),
                )?;
                Ok(OwnStore::Served(client))
            }
            // A disk to read only keeps nobody from looking, nor from receiving to another.
            Err(error @ StoreError::Io { .. }) => match store::look(context) {
                Ok(store) => Ok(OwnStore::Direct(Arc::new(store))),
                Err(_) => Err(error.into()),
            },
            Err(error) => Err(error.into()),
        }
    }
}

/// Chunks in flight: as asked, else as configured.
pub(super) fn jobs(context: &Context, asked: Option<u8>) -> usize {
    let configured = context.config.jobs.map(NonZeroUsize::get);
    asked
        .map(usize::from)
        .or(configured)
        .unwrap_or(SendOptions::default().jobs)
}

/// How many bytes a second may move: as asked, else as configured.
pub(super) fn pace(context: &Context, asked: Option<&str>) -> Result<Option<Pace>, Failure> {
    let asked = asked.map(str::parse::<SizeText>).transpose()?;
    let Some(limit) = asked.or(context.config.limit) else {
        return Ok(None);
    };
    let nothing =
        || Failure::usage("a limit of 0 would move nothing").hint("leave it out for none");
    let limit = NonZeroU64::new(limit.bytes()).ok_or_else(nothing)?;
    Ok(Some(Pace::new(limit)))
}

/// `store`, at that pace.
pub(super) fn paced(store: Arc<dyn Store>, pace: Option<&Pace>) -> Arc<dyn Store> {
    match pace {
        Some(pace) => Arc::new(PacedStore::new(store, pace.clone())),
        None => store,
    }
}

pub(super) fn store_options(context: &Context) -> LocalStoreOptions {
    LocalStoreOptions {
        reserve: context.config.reserve.map(|size| size.bytes()),
        quota: context.config.quota.map(|size| size.bytes()),
        relay: None,
    }
}
