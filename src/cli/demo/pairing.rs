//! How the demonstration's second peer becomes a member: by a code, over real TLS on loopback.

use std::{net::SocketAddr, path::Path};

use tokio::net::TcpListener;

use crate::{
    address,
    cli::report::{ExitCode, Failure},
    pair::{self, Code, Invitation, PairOptions, Wish},
    tls::CertsDir,
};

/// Lets the peer `name` join the circle of `host` into `certs`. Gives the code that was used.
pub(super) async fn pair(host: &CertsDir, name: &str, certs: &CertsDir) -> Result<Code, Failure> {
    let loopback = |e| Failure::io(Path::new("loopback"), &e);
    let listener = TcpListener::bind((address::loopback(), 0)).await;
    let listener = listener.map_err(loopback)?;
    let address: SocketAddr = listener.local_addr().map_err(loopback)?;
    let code = Code::generate().map_err(|e| Failure::new(ExitCode::Storage, e))?;
    let invitation = Invitation {
        code: code.clone(),
        certs: host.clone(),
        port: None,
        options: PairOptions::default(),
        taken: pair::all_free(),
    };
    let wish = Wish {
        code: code.clone(),
        name: name.to_owned(),
        certs: certs.clone(),
        port: None,
        host: None,
        options: PairOptions::default(),
        is_last_step: std::sync::Arc::default(),
    };
    let addresses = [address];
    let inviting = pair::invite(listener, invitation, |_| {});
    tokio::try_join!(inviting, pair::join(&addresses, &wish))?;
    Ok(code)
}
