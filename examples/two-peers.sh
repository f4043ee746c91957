#!/usr/bin/env bash
# The whole round trip on this machine: a circle of two peers, anna and ben, on loopback. anna seals a file, and from
# there on curl carries it: up to ben's peer, and down again on ben's side.
#
#   two-peers.sh [FILE]
#
# COLIS names the program if `colis` is not on the path. Everything happens in a new folder, which is removed at the end.
set -euo pipefail

colis=$(realpath "$(command -v "${COLIS:-colis}")")
here=$(cd "$(dirname "$0")" && pwd)
file=$(realpath "${1:-$0}")
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
cd "$root"

# 1. The circle: anna makes it and issues ben's certificates. Each also gets a certificate for scripts.
"$colis" --home anna certs init --name anna
"$colis" --home anna certs issue ben --out ben/certs

# 2. ben serves on a port that is free, and says which. It keeps what arrives sealed.
coproc BEN { exec "$colis" --home ben --json serve --listen 127.0.0.1:0 --inbox off; }
ben=$BEN_PID
trap 'kill "$ben" && wait "$ben"; rm -rf "$root"' EXIT
read -r serving <&"${BEN[0]}"
peer=https://localhost:$(jq -r '.address | split(":") | last' <<<"$serving")
echo "ben serves at $peer"

# 3. anna seals for ben, without asking anybody, and uploads.
"$colis" --home anna seal "$file" --to ben --out sealed
"$here/upload.sh" "$peer" anna/certs sealed

# 4. ben looks what there is, downloads it, and opens it.
"$here/list.sh" "$peer" ben/certs | tee list
id=$(cut -f 1 list)
"$here/download.sh" "$peer" ben/certs "$id" downloaded
"$colis" --home ben open downloaded --out opened

# 5. It is the same, byte by byte.
cmp "$file" "opened/$(basename "$file")"
echo "identical"
