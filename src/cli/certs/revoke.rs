//! `certs revoke`: on a terminal it is asked first, for there is no way back.

use std::io::{self, IsTerminal as _};

use super::leave::agreed;
use crate::{
    cli::{report::Failure, terminal},
    name::Escaped,
    session::{Home, certs},
};

/// Whether the person wants it; where nobody can be asked, it was wanted.
pub(super) async fn confirmed(home: &Home, peer: &str) -> Result<bool, Failure> {
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        return Ok(true);
    }
    // What is refused, or already done, is said by the command itself.
    let Some(doomed) = certs::to_be_revoked(home, peer) else {
        return Ok(true);
    };
    let (name, ids) = (Escaped::new(peer), doomed.ids.join(", "));
    let unknown = match doomed.recorded {
        true => "",
        false => "; no certificate to it is on record here, others say that it is a member",
    };
    terminal::say(&format!(
        "{name} (id {ids}{unknown}) is shut out of the circle for good: to come back, it leaves and pairs again as another peer"
    ));
    agreed("Revoke it? [y/N]").await
}
