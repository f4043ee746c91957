#!/usr/bin/env bash
# Downloads a transfer into a folder for `colis open`, with curl and jq.
#
#   download.sh https://HOST:PORT CERTS ID FOLDER
#
# ID is that of its manifest, as list.sh shows it. After a cut run it again: what is there and whole is kept.
set -euo pipefail

if [ $# -ne 4 ] || ! [[ $3 =~ ^[0-9a-f]{64}$ ]]; then
  echo "usage: download.sh https://HOST:PORT CERTS ID FOLDER" >&2
  exit 2
fi
peer=$1 id=$3 folder=$4
certs=$(cd "$2" && pwd)
mkdir -p "$folder/chunks" "$folder/manifests"
cd "$folder"

# Fetches into files. What did not come whole is not kept.
fetch() {
  curl --silent --show-error --fail-with-body --fail-early --remove-on-error --tlsv1.3 \
    --cacert "$certs/ca-cert.pem" --cert "$certs/client-cert.pem" --key "$certs/client-key.pem" "$@"
}

# 1. The manifest. Its name is its SHA-256.
manifest=manifests/$id.dsse
is_whole() { sha256sum --check --status <<<"$id  $manifest" 2>/dev/null; }
is_whole || fetch --output "$manifest" "$peer/v1/manifests/$id"
if ! is_whole; then
  rm "$manifest"
  echo "download.sh: the peer sent another manifest than $id" >&2
  exit 1
fi

# 2. Its chunks: those of the table, of the content, and of the sums. Nobody has checked the signature yet, so what is
#    not exactly an id must become neither a path nor a URL.
sums=$(jq -r '.payload | @base64d | fromjson | (.table + .chunks + .sums)[]
  | if test("\\A[0-9a-f]{64}\\z") then "\(.)  chunks/\(.)" else error("not an id") end' "$manifest")

# The ids of the chunks that are not here, or not whole: sha256sum tells both.
lacking() { LC_ALL=C sha256sum --check <<<"$sums" 2>/dev/null | sed -n 's|^chunks/\(.*\): FAILED.*|\1|p'; }

# A thousand at a time over one connection: curl makes one request of each id between the braces, and `#1` is that id.
mapfile -t ids < <(lacking)
for ((i = 0; i < ${#ids[@]}; i += 1000)); do
  some=$(IFS=, && echo "${ids[*]:i:1000}")
  fetch --output 'chunks/#1' "$peer/v1/chunks/{$some}"
done
echo "fetched ${#ids[@]} of $(wc -l <<<"$sums") chunks"

# 3. Every byte is checked before anybody relies on it.
mapfile -t ids < <(lacking)
if [ ${#ids[@]} -gt 0 ]; then
  echo "download.sh: ${#ids[@]} chunks are not what their names say; run it again" >&2
  exit 1
fi
echo "complete: colis open '$folder'"
