#!/bin/sh
# mosquitto, MQTT over WebSocket on 127.0.0.1:$1. Needs Debian's package `mosquitto`.
# `--version` tells its version instead.
PATH="$PATH:/usr/sbin:/usr/local/sbin"
command -v mosquitto >/dev/null || { echo "mosquitto is not installed: apt-get install mosquitto" >&2; exit 3; }
[ "$1" = --version ] && { mosquitto -h | head -n 1; exit; }
folder=$(mktemp -d) || exit 1
sed "s/PORT/$1/; s|FOLDER|$folder|" "$(dirname "$0")/mosquitto.conf" >"$folder/mosquitto.conf"
exec mosquitto -c "$folder/mosquitto.conf"
