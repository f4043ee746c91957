//! The examples at the end of each `--help`.

pub(super) const SERVE: &str = "Examples:
  colis serve                                   on port 8443, opening what arrives
  colis serve --listen 192.0.2.7:9443 --inbox ask
  colis serve --install                         at every login, by systemd
  colis serve --uninstall                       not any more; the home stays";

pub(super) const STOP: &str = "Examples:
  colis stop                                    requests in work may finish; what came is kept
  colis --home /srv/ben stop";

pub(super) const SEND: &str = "Examples:
  colis send report.pdf photos/ --to ben
  colis send . --to ben --git --exclude '*.iso' --dry-run
  pg_dump shop | colis send - --name shop.sql --to 192.0.2.7:8443 --wait
  colis send --text 'lunch?' --to ben           a line, shown on arrival
  colis send film.mkv --to ben --via relay      stored with a peer that cannot open it
  colis send --resume all                       go on with what was not finished
Running the same command again continues after a cut.";

pub(super) const SHARE: &str = "Examples:
  colis share album/                            for every known peer
  colis share plan.odt --to anna,ben --expires 7d";

pub(super) const GRANT: &str = "Examples:
  colis grant album --to carl                   what was shared from here
  colis grant 3f2a --to carl --at relay         what another peer stores";

pub(super) const DELETE: &str = "Examples:
  colis delete 3f2a                             from the local store; received files stay
  colis delete report.pdf --at ben              takes back what was sent to ben, unless it was opened";

pub(super) const RECEIVE: &str = "Examples:
  colis receive --from ben --all
  colis receive --from ben report.pdf --out ~/Downloads
  colis receive --from ben,anna,relay film.mkv   from all three at once
  colis receive 3f2a --out - | tar x             one file, chunk by verified chunk";

pub(super) const SEAL: &str = "Examples:
  colis seal photos/ --to ben --out sealed      nobody is asked; running it again continues
  examples/upload.sh https://ben:8443 certs sealed";

pub(super) const OPEN: &str = "Examples:
  colis open /media/stick/sealed
  colis open sealed --out - | tar x             one file, chunk by verified chunk";

pub(super) const LIST: &str = "Examples:
  colis list                                    what is here
  colis list ben --json | jq -r 'select(.event==\"transfer\").names[]?'";

pub(super) const PEERS: &str = "Examples:
  colis peers
  colis peers add 192.0.2.7:8443
  colis peers check ben
  colis peers allow ben bank:atm                for a service of your own that asks for it";

pub(super) const PAIR: &str = "Examples:
  colis pair                                    on the first machine, which makes the circle: shows a code
  colis pair 192.0.2.7                          on the new one: asks for it
  colis pair anna                               or by the name that it has in the same network
  colis pair box:8444 --name ben --code-file code.txt --serve";

pub(super) const CERTS: &str = "Examples:
  colis certs init --name anna
  colis certs issue ben --out ben-certs         the certs/ folder for another machine
  colis certs revoke ben";

pub(super) const CHECK: &str = "Examples:
  colis check --read-data                       reads and hashes every chunk
  colis check ben 3f2a                          every byte of it is still there, without downloading it
  colis check ben 3f2a --repair                 puts back what is missing";

pub(super) const INBOX: &str = "Examples:
  colis inbox                                   what waits, and what is in it
  colis inbox accept 3f2a
  colis inbox refuse 3f2a
  colis inbox refuse --from anna                everything of hers that waits
  colis inbox cancel 81c0                       what is still arriving";

pub(super) const HISTORY: &str = "Examples:
  colis history -n 10";

pub(super) const CONFIG: &str = "Examples:
  colis config                                  every setting, and who set it
  colis config init                             colis.toml with comments
  colis config set inbox ask
  colis config unset inbox                      its default again";

pub(super) const COMPLETIONS: &str = "Examples:
  colis completions bash > ~/.local/share/bash-completion/completions/colis
  colis completions zsh  > ~/.zfunc/_colis
  colis completions fish > ~/.config/fish/completions/colis.fish";

pub(super) const MAN: &str = "Examples:
  colis man | man -l -
  colis man --out ~/.local/share/man/man1";

pub(super) const DEMO: &str = "Examples:
  colis demo --size 256MiB --keep";

pub(super) const DOCTOR: &str = "Examples:
  colis doctor                                  this machine
  colis doctor ben                              and every step of the way to ben";
