//! The caller of a request, as a handler of the embedding program sees it.

use std::collections::BTreeSet;

use axum::{
    extract::FromRequestParts,
    http::request::Parts,
    response::{IntoResponse, Response},
};

use super::{ServerState, accept::Connection, problem::Failure};
use crate::{
    id::PeerId,
    manifest::Timestamp,
    trust::{Right, Role},
    wire::Code,
};

/// Who calls a route of one's own: an axum extractor. Role and rights are those of the moment at which they are asked for.
#[derive(Clone)]
pub struct CallerInfo {
    pub(super) state: ServerState,
    pub(super) connection: Connection,
}

/// A refusal, which a handler can return as it is: 403 with a problem document.
#[derive(Debug)]
pub struct Denied(Failure);

impl CallerInfo {
    /// The peer: the digest of its public key. A script has the id of the peer for which it acts.
    pub fn peer_id(&self) -> PeerId {
        self.connection.caller.peer_id
    }

    /// The name that its certificate says. The circle vouches for it; another peer may have it later.
    pub fn name(&self) -> &str {
        &self.connection.caller.name
    }

    /// Whether it is a script of the peer, and not the peer itself.
    pub fn is_script(&self) -> bool {
        self.connection.caller.script
    }

    /// The serial number of its certificate.
    pub fn serial(&self) -> &[u8] {
        &self.connection.caller.serial
    }

    /// When its certificate ends.
    pub fn not_after(&self) -> Timestamp {
        self.connection.caller.not_after
    }

    /// What it may do with the store.
    pub fn role(&self) -> Role {
        self.state.services().gate.role(&self.connection.caller)
    }

    /// What it may do beyond the store.
    pub fn rights(&self) -> BTreeSet<Right> {
        self.state.services().gate.rights(&self.connection.caller)
    }

    /// Whether it has `right` now. A caller that was revoked meanwhile has none.
    pub fn may(&self, right: &Right) -> bool {
        self.state.may(&self.connection.caller, right)
    }

    /// Refuses a caller that does not have `right` now.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn require(&self, right: &Right) -> Result<(), Denied> {
        match self.may(right) {
            true => Ok(()),
            false => Err(Denied(not_allowed(format!(
                "this takes the right {right}, which you do not have here; ask the owner"
            )))),
        }
    }

    /// Refuses a caller whose role does not fit now.
    pub(super) fn require_role(&self, fits: impl Fn(Role) -> bool) -> Result<(), Failure> {
        let role = self.role();
        match fits(role) {
            true => Ok(()),
            false => Err(not_allowed(format!(
                "your role here is {role}, which may not use this address; ask the owner"
            ))),
        }
    }
}

fn not_allowed(detail: String) -> Failure {
    Failure::new(Code::NotAllowed, detail)
}

impl<S: Sync> FromRequestParts<S> for CallerInfo {
    type Rejection = Denied;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Denied> {
        let found = parts.extensions.get::<Self>().cloned();
        let outside = "the route is not one of the server's `OwnRoutes`";
        found.ok_or_else(|| Denied(Failure::internal(&outside)))
    }
}

impl IntoResponse for Denied {
    fn into_response(self) -> Response {
        self.0.into_response()
    }
}

impl From<Denied> for Failure {
    fn from(denied: Denied) -> Self {
        denied.0
    }
}
