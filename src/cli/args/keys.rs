//! Which commands need the keys of the home: they ask for the passphrase, if the keys are under one. docs/commands.md has the table.

use super::{Certs, CertsCommand, Command, Doctor, Pair, Peers, PeersCommand, Serve};
use crate::tls::Scope;

impl Command {
    /// The keys that it needs; none if it asks nobody.
    pub(in crate::cli) fn keys(&self) -> Option<Scope> {
        match self {
            Self::Stop(_)
            | Self::History(_)
            | Self::Status(_)
            | Self::Config(_)
            | Self::Completions(_)
            | Self::Man(_)
            | Self::Demo(_) => None,
            Self::Serve(Serve {
                install, uninstall, ..
            }) => (!install && !uninstall).then_some(Scope::Circle),
            Self::Pair(Pair { host: None, .. }) => Some(Scope::Circle),
            Self::Doctor(Doctor { peer, .. }) => peer.is_some().then_some(Scope::Peer),
            Self::Peers(args) => args.meets_others().then_some(Scope::Peer),
            Self::Certs(args) => args.keys(),
            Self::Send(_)
            | Self::Share(_)
            | Self::Grant(_)
            | Self::Delete(_)
            | Self::Receive(_)
            | Self::Seal(_)
            | Self::Open(_)
            | Self::List(_)
            | Self::Pair(_)
            | Self::Check(_)
            | Self::Inbox(_)
            | Self::Gc(_) => Some(Scope::Peer),
        }
    }
}

impl Peers {
    fn meets_others(&self) -> bool {
        use PeersCommand::{Add, Check};
        self.seen || matches!(self.command, Some(Add { .. } | Check { .. }))
    }
}

impl Certs {
    fn keys(&self) -> Option<Scope> {
        match self.command {
            CertsCommand::Init { .. }
            | CertsCommand::Import {
                folder: Some(_), ..
            }
            | CertsCommand::Show => None,
            CertsCommand::Leave { .. } | CertsCommand::Import { folder: None, .. } => {
                Some(Scope::Peer)
            }
            CertsCommand::Issue { .. }
            | CertsCommand::Revoke { .. }
            | CertsCommand::RenewCircle
            | CertsCommand::Renew { .. }
            | CertsCommand::Passphrase(_) => Some(Scope::Circle),
        }
    }
}
