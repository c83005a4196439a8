#!/bin/sh
# A small presence server on socket.io, on 127.0.0.1:$1. Installs the package on first use.
# `--version` tells its version instead.
cd "$(dirname "$0")" || exit 1
command -v node >/dev/null || { echo "socket.io needs node, which is not installed" >&2; exit 3; }
if [ ! -d node_modules ]; then
  npm install --no-audit --no-fund --no-package-lock --loglevel=error >/dev/null 2>&1 ||
    { rm -rf node_modules; echo "socket.io could not be installed: npm install failed in bench/peers/socketio" >&2; exit 3; }
fi
if [ "$1" = --version ]; then
  exec node -p '"socket.io " + require("./node_modules/socket.io/package.json").version + ", node " + process.version'
fi
NODE_ENV=production exec node server.mjs "$1"
