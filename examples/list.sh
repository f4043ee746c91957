#!/usr/bin/env bash
# Lists the transfers that a peer has, with curl and jq: id, date, bytes, chunks, sender.
#
#   list.sh https://HOST:PORT CERTS [PAGE]
#
# A peer answers by pages of at most PAGE lines, 1000 unless told; `next` leads to the one after.
set -euo pipefail

if [ $# -lt 2 ] || [ $# -gt 3 ]; then
  echo "usage: list.sh https://HOST:PORT CERTS [PAGE]" >&2
  exit 2
fi
peer=$1 certs=$2 limit=${3:-1000}

# Asks the peer. If it says no, what it said goes to standard error and the exit code is curl's.
ask() {
  local answer status=0
  answer=$(curl --silent --show-error --fail-with-body --tlsv1.3 --cacert "$certs/ca-cert.pem" \
    --cert "$certs/client-cert.pem" --key "$certs/client-key.pem" "$@") || status=$?
  if [ "$status" -ne 0 ]; then
    [ -z "$answer" ] || LC_ALL=C tr -cd '[:print:]\n' <<<"$answer" >&2
  else
    printf '%s\n' "$answer"
  fi
  return "$status"
}

after=
while true; do
  page=$(ask "$peer/v1/manifests?limit=$limit${after:+&after=$after}")
  # What another machine says must not reach the terminal as control characters.
  jq -r '.manifests[] | [.id, .created, .size, .chunks, .sender] | @tsv' <<<"$page" |
    LC_ALL=C tr -cd '[:print:]\t\n'
  after=$(jq -r '.next // empty' <<<"$page")
  [ -n "$after" ] || break
done
