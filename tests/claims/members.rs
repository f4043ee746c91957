//! The members of a circle, as processes: what roles let them do, how fast revocations act and how they go around, and
//! certificates that are renewed.

mod book;
mod circle_ends;
mod ends;
pub(crate) mod kept;
pub(crate) mod lists;
mod own_key;
mod renewal;
mod revoked;
mod roles;
mod whom;

use colis::tls::CertsDir;
use testkit::{Homes, Ran};

fn certs(homes: &Homes, name: &str) -> CertsDir {
    CertsDir::new(homes.home(name).join("certs"))
}

/// What curl says with the certificate for scripts of `home`.
pub(crate) fn curl(homes: &Homes, home: &str, args: &[&str]) -> Ran {
    let dir = certs(homes, home);
    let mut curl = std::process::Command::new("curl");
    curl.args(["-sS", "--tlsv1.3", "--max-time", "20", "--cacert"])
        .arg(dir.ca_cert())
        .arg("--cert")
        .arg(dir.client_cert())
        .arg("--key")
        .arg(dir.client_key())
        .args(args);
    curl.output().unwrap().into()
}
