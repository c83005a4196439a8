#!/bin/sh
# sockudo, Pusher's protocol, on 127.0.0.1:$1. Needs the crate `sockudo` installed.
# `--version` tells its version instead.
PATH="$PATH:$HOME/.cargo/bin"
command -v sockudo >/dev/null ||
  { echo "sockudo is not installed: cargo install sockudo --locked --no-default-features --features local (needs protobuf-compiler)" >&2; exit 3; }
[ "$1" = --version ] && { cargo install --list | grep "^sockudo v"; exit; }
folder=$(mktemp -d) || exit 1
sed "s/\"PORT\"/$1/" "$(dirname "$0")/sockudo.toml" >"$folder/sockudo.toml"
cd "$folder" && exec sockudo --config "$folder/sockudo.toml"
