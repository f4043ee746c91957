#!/usr/bin/env bash
# Uploads a folder that `colis seal` made, with curl and jq.
#
#   upload.sh https://HOST:PORT CERTS FOLDER
#
# CERTS is the certs/ folder of a home; its client-cert.pem acts for that peer. After a cut run it again: only what the
# other side lacks is sent.
set -euo pipefail
shopt -s nullglob

if [ $# -ne 3 ]; then
  echo "usage: upload.sh https://HOST:PORT CERTS FOLDER" >&2
  exit 2
fi
peer=$1
certs=$(cd "$2" && pwd)
cd "$3"

# Asks the peer. If it says no, what it said goes to standard error and the exit code is curl's.
ask() {
  local answer status=0
  answer=$(curl --silent --show-error --fail-with-body --fail-early --tlsv1.3 --cacert "$certs/ca-cert.pem" \
    --cert "$certs/client-cert.pem" --key "$certs/client-key.pem" "$@") || status=$?
  if [ "$status" -ne 0 ]; then
    [ -z "$answer" ] || LC_ALL=C tr -cd '[:print:]\n' <<<"$answer" >&2
  else
    printf '%s\n' "$answer"
  fi
  return "$status"
}

chunks=(chunks/*)
manifests=(manifests/*.dsse)
if [ ${#manifests[@]} -eq 0 ]; then
  echo "upload.sh: $3 has no manifest: run colis seal to its end first" >&2
  exit 1
fi
envelope='Content-Type: application/vnd.dsse+json'

# 1. The offer: the peer checks the signature, reserves space, and may say no before anything is sent. A folder that was
#    downloaded has none; it can be passed on all the same.
part_of=()
if [ -e offer.dsse ]; then
  transfer=$(cat transfer)
  answer=$(ask --header "$envelope" --upload-file offer.dsse "$peer/v1/offers/$transfer" | jq -r .answer)
  case $answer in
    accepted | waiting) ;;
    already-received)
      echo "received before: nothing to send"
      exit 0
      ;;
    *)
      echo "upload.sh: the offer was not accepted ($answer)" >&2
      exit 1
      ;;
  esac
  part_of=(--header "Colis-Offer: $transfer")
fi

# 2. The chunks, a thousand at a time: ask which are missing, put only those. The name of a file is its id; curl makes
#    one upload of each name between the braces, all over one connection, and adds the name to a URL that ends with `/`.
sent=0
for ((i = 0; i < ${#chunks[@]}; i += 1000)); do
  ids=("${chunks[@]:i:1000}")
  missing=$(jq -nc '{ids: $ARGS.positional}' --args "${ids[@]#chunks/}" |
    ask --json @- "$peer/v1/chunks/missing" | jq -r '.missing | join(",")')
  if [ -n "$missing" ]; then
    ask "${part_of[@]}" --upload-file "chunks/{$missing}" "$peer/v1/chunks/" >/dev/null
    IFS=, read -ra ids <<<"$missing"
    sent=$((sent + ${#ids[@]}))
  fi
done
echo "sent $sent of ${#chunks[@]} chunks"

# 3. The manifest, last: what is published is complete and durable.
for manifest in "${manifests[@]}"; do
  id=$(basename "$manifest" .dsse)
  result=$(ask --header "$envelope" --upload-file "$manifest" "$peer/v1/manifests/$id" | jq -r .result)
  echo "$id  $result"
done
