//! The examples at the end of the `--help` of what has a command above it, and of `gc` and `status`.

pub(super) const PEERS_LIST: &str = "Examples:
  colis peers list                              as colis peers";

pub(super) const PEERS_ADD: &str = "Examples:
  colis peers add 192.0.2.7                     port 8443
  colis peers add ben.example.org:9443";

pub(super) const PEERS_CHECK: &str = "Examples:
  colis peers check ben                         whether it answers, and how it is";

pub(super) const PEERS_RENAME: &str = "Examples:
  colis peers rename ben workshop               only here; its certificate keeps its name
  colis peers rename workshop ben               takes that back";

pub(super) const PEERS_ROLE: &str = "Examples:
  colis peers role ben reader                   sees what is addressed to it, and stores nothing
  colis peers role ben sender --script          only what its scripts may";

pub(super) const PEERS_BLOCK: &str = "Examples:
  colis peers block ben
  colis peers role ben member                   lets it in again";

pub(super) const PEERS_ALLOW: &str = "Examples:
  colis peers allow ben                         after `block`, or where an outside authority signs
  colis peers allow ben bank:atm                for a service of your own that asks for it";

pub(super) const PEERS_DENY: &str = "Examples:
  colis peers deny ben bank:atm";

pub(super) const PEERS_FORGET: &str = "Examples:
  colis peers forget ben                        until colis peers add";

pub(super) const CERTS_INIT: &str = "Examples:
  colis certs init --name anna
  colis certs init --name anna --san anna.example.org,192.0.2.7";

pub(super) const CERTS_ISSUE: &str = "Examples:
  colis certs issue ben --out ben-certs         carry it to ben: colis certs import ben-certs";

pub(super) const CERTS_IMPORT: &str = "Examples:
  colis certs import /media/stick/ben-certs
  colis certs import --ca ca.pem --cert ben.pem --key ben-key.pem --crl crl.pem
  colis certs import --cert ben-renewed.pem     of an outside authority, for the same key";

pub(super) const CERTS_SHOW: &str = "Examples:
  colis certs show                              until when each counts";

pub(super) const CERTS_REVOKE: &str = "Examples:
  colis certs revoke ben
  colis certs revoke 7ba82a47                   by the beginning of its id";

pub(super) const CERTS_PASSPHRASE: &str = "Examples:
  colis certs passphrase set                    asks for it, twice
  colis certs passphrase remove";

pub(super) const CERTS_PASSPHRASE_SET: &str = "Examples:
  colis certs passphrase set                    also to change it
  colis --key-passphrase-file old certs passphrase set --new-file new";

pub(super) const CERTS_PASSPHRASE_REMOVE: &str = "Examples:
  colis certs passphrase remove                 the keys are plain files again";

pub(super) const CERTS_LEAVE: &str = "Examples:
  colis certs leave                             says what it means, and asks
  colis certs leave --end-circle anna --yes     on the machine that made the circle";

pub(super) const CERTS_RENEW: &str = "Examples:
  colis certs renew                             from the machine that made the circle
  colis certs renew --script --from anna";

pub(super) const CERTS_RENEW_CIRCLE: &str = "Examples:
  colis certs renew-circle                      members take it over when they meet";

pub(super) const GC: &str = "Examples:
  colis gc                                      a peer that serves does it by itself
  colis gc --unfinished                         what came of transfers that were never finished";

pub(super) const STATUS: &str = "Examples:
  colis status
  colis status --serving || mail -s colis me@example.org < /dev/null";

pub(super) const INBOX_LIST: &str = "Examples:
  colis inbox list
  colis inbox list 3f2a                         with every entry";

pub(super) const INBOX_ACCEPT: &str = "Examples:
  colis inbox accept 3f2a --out ~/Downloads
  colis inbox accept --all";

pub(super) const INBOX_REFUSE: &str = "Examples:
  colis inbox refuse 3f2a
  colis inbox refuse --from anna                everything of hers that waits";

pub(super) const INBOX_STOP: &str = "Examples:
  colis inbox stop 81c0                         ids of what is arriving: colis inbox
  colis inbox stop 81c0 --from anna             if another's has that id too";

pub(super) const CONFIG_SHOW: &str = "Examples:
  colis config show
  colis config show --json";

pub(super) const CONFIG_INIT: &str = "Examples:
  colis config init                             every setting as a comment";

pub(super) const CONFIG_SET: &str = "Examples:
  colis config set inbox ask
  colis config set quota 100GiB";

pub(super) const CONFIG_UNSET: &str = "Examples:
  colis config unset quota                      its default holds again";
