#!/bin/sh
# NATS over WebSocket on 127.0.0.1:$1. Needs Debian's package `nats-server`.
# `--version` tells its version instead.
PATH="$PATH:/usr/sbin:/usr/local/sbin"
command -v nats-server >/dev/null || { echo "nats-server is not installed: apt-get install nats-server" >&2; exit 3; }
[ "$1" = --version ] && exec nats-server --version
config=$(mktemp) || exit 1
sed "s/PORT/$1/" "$(dirname "$0")/nats.conf" >"$config"
exec nats-server -c "$config"
