#!/usr/bin/env bash
# Shows what happens at a peer as it happens, with curl and jq: event, id, and the new state or the bytes.
#
#   events.sh https://HOST:PORT CERTS
#
# The peer sends server-sent events until either side ends it. After a `resync` some were missed: ask list.sh.
set -euo pipefail

if [ $# -ne 2 ]; then
  echo "usage: events.sh https://HOST:PORT CERTS" >&2
  exit 2
fi
peer=$1 certs=$2

# What another machine says must not reach the terminal as control characters.
curl --silent --show-error --fail-with-body --tlsv1.3 --no-buffer --cacert "$certs/ca-cert.pem" \
  --cert "$certs/client-cert.pem" --key "$certs/client-key.pem" "$peer/v1/events" |
  sed -un 's/^data: //p' |
  jq -r --unbuffered '[.event, .id, .state // .size] | @tsv | gsub("[^ -~\t]"; "?")'
