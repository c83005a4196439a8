#!/bin/sh
# A small presence server on ws, on 127.0.0.1:$1. Installs the package on first use.
# `--version` tells its version instead.
cd "$(dirname "$0")" || exit 1
command -v node >/dev/null || { echo "ws needs node, which is not installed" >&2; exit 3; }
if [ ! -d node_modules ]; then
  npm install --no-audit --no-fund --no-package-lock --loglevel=error >/dev/null 2>&1 ||
    { rm -rf node_modules; echo "ws could not be installed: npm install failed in bench/peers/ws" >&2; exit 3; }
fi
if [ "$1" = --version ]; then
  exec node -p '"ws " + require("./node_modules/ws/package.json").version + ", node " + process.version'
fi
NODE_ENV=production exec node server.mjs "$1"
