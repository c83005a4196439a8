#!/bin/sh
# A small presence server on ws, on 127.0.0.1:$1. Installs the package on first use.
cd "$(dirname "$0")" || exit 1
command -v node >/dev/null || { echo "ws needs node, which is not installed" >&2; exit 3; }
if [ ! -d node_modules ]; then
  npm install --no-audit --no-fund --no-package-lock --loglevel=error >/dev/null 2>&1 ||
    { rm -rf node_modules; echo "ws could not be installed: npm install failed in bench/peers/ws" >&2; exit 3; }
fi
NODE_ENV=production exec node server.mjs "$1"
