//! How the demonstration's second peer becomes a member: by a code, over real TLS on loopback.

use std::{net::SocketAddr, sync::Arc};

use crate::{
    address::{self, PeerAddress},
    cli::report::Failure,
    config::Config,
    session::{
        Home, Reporter, Silent,
        pair::{InviteRequest, Inviting, JoinRequest, Joining},
    },
};

/// Lets the peer `name` with the home `new` join the circle of `host`. Gives the code that was used.
pub(super) async fn pair(
    host: &Home,
    name: &str,
    new: &Home,
    config: &Config,
) -> Result<String, Failure> {
    let silent: Arc<dyn Reporter> = Arc::new(Silent);
    let invite = InviteRequest {
        port: Some(0),
        ..InviteRequest::default()
    };
    let mut inviting = Inviting::start(host, config, &silent, invite).await?;
    let shown = inviting.shown().clone();
    let at = SocketAddr::new(address::loopback(), shown.port);
    let mut join = JoinRequest::of(PeerAddress::from(at).to_string().parse()?);
    join.name = Some(name.to_owned());
    let joining = Joining::find(new, config, &silent, join).await?;
    let code = shown.code.parse()?;
    let paired = tokio::try_join!(inviting.paired(), joining.join(code));
    inviting.finish().await?;
    paired?;
    Ok(shown.code)
}
