# shellcheck shell=bash
# The steps of scripts/check (all of them) and scripts/quick (the fast ones), which source this file
# from the root of the repository. A step is a function below and runs by `step NAME FUNCTION`.
set -euo pipefail

# Absolute, since some steps change the folder.
target=$(mkdir -p "${CARGO_TARGET_DIR:-target}" && cd "${CARGO_TARGET_DIR:-target}" && pwd)
# What the JavaScript tests and schemathesis start: the broker that `tests` or `build` has made.
export HERENOW_BIN=$target/debug/herenow

# The suite's tests that wait for seconds to pass, keep both cores busy, or need packages: for scripts/check.
slow_tests=(closes:: concurrent:: demo_viewers:: doctor:: fetched_keys:: lent:: levels:: liveness:: pacing:: promised:: proxied:: slow:: tls:: transcripts:: visibility::)
# The client's tests that need no broker.
fast_js_tests=(clients/javascript/test/{carried,dist,emitter,replica}.test.js tests/browser/{admin-lists,words}.test.mjs)

took=()

# Runs a step, and keeps its seconds.
step() {
  local begun=$SECONDS
  printf '\n=== %s\n' "$1"
  "$2"
  took+=("$(printf '%5d s  %s' $((SECONDS - begun)) "$1")")
}

# What each step took. The last lines say whether all of them passed.
summary() {
  local status=$?
  printf '\n'
  [ ${#took[@]} = 0 ] || printf '%s\n' "${took[@]}"
  printf '%5d s  in all\n' "$SECONDS"
  [ $status = 0 ] || echo "FAILED in the step above" >&2
}

need() {
  command -v "$1" >/dev/null || { echo "$0: $1 is needed: $2" >&2; exit 1; }
}

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

debian_package() {
  need apt-get "install $1 in your system's way"
  as_root apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL="${RUNLEVEL:-}" apt-get install -y -qq --no-install-recommends "$1" >/dev/null
}

# rust-toolchain.toml names the compiler, and rustup installs it. Where rustup may not, its `stable`
# serves if it is that very version.
need_rust() {
  need cargo "install Rust"
  local wanted
  wanted=$(sed -n 's/^channel = "\(.*\)"$/\1/p' rust-toolchain.toml)
  if ! grep -qxF "rust-version = \"$wanted\"" Cargo.toml; then
    echo "rust-toolchain.toml says $wanted, and Cargo.toml promises another rust-version" >&2
    exit 1
  fi
  [[ $(rustc --version 2>/dev/null || true) == "rustc $wanted "* ]] && return
  if [[ $(RUSTUP_TOOLCHAIN=stable rustc --version 2>/dev/null || true) == "rustc $wanted "* ]]; then
    export RUSTUP_TOOLCHAIN=stable
  else
    echo "$0: Rust $wanted is needed: rustup toolchain install $wanted" >&2
    exit 1
  fi
}

need_node() {
  need npm "install Node.js 20.19 or later"
}

need_python() {
  need python3 "install Python 3.11 or later"
  python3 -c 'import venv, ensurepip' 2>/dev/null || debian_package python3-venv
}

find_chromium() {
  local name
  for name in "${CHROMIUM:-}" chromium chromium-browser google-chrome; do
    [ -n "$name" ] && command -v "$name" && return
  done
  return 1
}

# Sets CHROMIUM for the browser tests.
need_chromium() {
  find_chromium >/dev/null || debian_package chromium
  CHROMIUM=$(find_chromium)
  export CHROMIUM
}

# The tests start their own; the package's must not take port 80.
need_nginx() {
  PATH=$PATH:/usr/sbin command -v nginx >/dev/null || RUNLEVEL=1 debian_package nginx-light
}

# The tests start their own; the packages' must not take the ports.
need_proxies() {
  need_nginx
  command -v caddy >/dev/null || RUNLEVEL=1 debian_package caddy
  PATH=$PATH:/usr/sbin command -v haproxy >/dev/null || RUNLEVEL=1 debian_package haproxy
  command -v openssl >/dev/null || debian_package openssl
}

# The tests start their own; the package's must not run beside it.
need_redis() {
  command -v redis-server >/dev/null || RUNLEVEL=1 debian_package redis-server
}

# It sets the wall clock of one process.
need_faketime() {
  ls /usr/lib/*/faketime/libfaketimeMT.so.1 >/dev/null 2>&1 || debian_package faketime
}

# The packages that a folder's lock file names, unless they are there.
npm_packages() {
  local installed=$1/node_modules/.installed
  cmp -s "$1/package-lock.json" "$installed" && return
  npm ci --prefix "$1" --no-audit --no-fund --loglevel=error
  cp "$1/package-lock.json" "$installed"
}

format() {
  cargo fmt --all --check
}

lints() {
  cargo clippy --workspace --all-targets --all-features --locked -- -D warnings
}

js_lint() {
  npm_packages .
  npm run --silent lint
}

documentation() {
  RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --all-features --locked
}

# Sets `deny` to cargo-deny of the version that deny.toml is written for. To build it takes a minute
# or two, once.
cargo_deny() {
  local version=0.20.2 home=$target/cargo-deny
  for deny in "$(command -v cargo-deny || true)" "$home/bin/cargo-deny"; do
    [ -x "$deny" ] && [ "$("$deny" --version)" = "cargo-deny $version" ] && return
  done
  # Not into our own target folder: it shares nothing with us.
  env -u CARGO_TARGET_DIR cargo install --quiet --debug --locked --root "$home" --version "$version" cargo-deny
}

dependencies() {
  cargo_deny
  "$deny" --locked check bans licenses sources
}

# The database of known holes is a git repository, which not every machine can reach.
advisories() {
  cargo_deny
  if timeout 60 "$deny" fetch db 2>/dev/null; then
    "$deny" --locked check advisories
  else
    echo "advisories were NOT checked: their database cannot be reached from here"
  fi
}

# Runs tests that take a few minutes. After a time in which they must be over they are ended, so that a
# test that hangs is a failure and not a run without end: with all that they started, unless somebody at a
# terminal wants ctrl-c to reach them.
within() {
  local who=()
  [ ! -t 0 ] || who=(--foreground)
  timeout "${who[@]}" --kill-after=10 "$@"
}

# Tests of Node's. Of a file that hangs the name is told.
node_files() {
  within 25m node --test --test-timeout=600000 "$@"
}

unit_tests() {
  cargo test --workspace --all-features --locked --quiet --lib --bins
}

fast_suite() {
  local skip=() name
  for name in "${slow_tests[@]}"; do skip+=(--skip "$name"); done
  # Which the suite starts.
  cargo build --workspace --all-features --locked --quiet --bins
  cargo test --workspace --all-features --locked --quiet --test suite --test vectors -- "${skip[@]}"
}

tests() {
  within 60m cargo test --workspace --all-features --locked
}

# With the features that users get: tests and benchmarks ask some of our dependencies for more. It is
# looked at and not built, since the tests have built a broker.
as_users_build() {
  cargo check --locked
}

build() {
  cargo build --locked
}

schemathesis() {
  within 20m scripts/schemathesis
}

client_types() {
  npm_packages clients/javascript
  npm --prefix clients/javascript run --silent types
}

client_size() {
  npm_packages clients/javascript
  npm --prefix clients/javascript run --silent size
}

js_fast_tests() {
  npm_packages clients/javascript
  node_files "${fast_js_tests[@]}"
}

# The tests that mostly wait, one of them for three minutes, run beside all others.
patient_js_tests=(tests/browser/hidden.test.mjs tests/mirror/mirror.test.mjs tests/vendors/{livelike,pubnub}.test.mjs)

js_tests() {
  npm_packages clients/javascript
  npm_packages tests/browser
  npm_packages tests/next
  npm_packages tests/vendors
  npm_packages examples/mirror
  local each others=()
  for each in clients/javascript/test/*.test.js tests/browser/*.test.mjs tests/mirror/*.test.mjs tests/vendors/*.test.mjs; do
    [[ " ${patient_js_tests[*]} " == *" $each "* ]] || others+=("$each")
  done
  side_by_side patient_js "node_files --test-concurrency=2 ${others[*]}"
}

patient_js() {
  node_files --test-concurrency=4 "${patient_js_tests[@]}"
}

# Runs two commands at once, and passes if both do. What the first one prints comes last.
side_by_side() {
  local printed failed=0
  printed=$(mktemp)
  $1 >"$printed" 2>&1 &
  local first=$!
  $2 || failed=1
  wait "$first" || failed=1
  cat "$printed"
  rm "$printed"
  return $failed
}

# The Python client, and the scenarios that all clients pass. It makes a virtual environment below `target`.
python_client() {
  npm_packages clients/javascript
  within 25m clients/python/check
}

# Many nodes on a Redis of their own, one broker among clients that misbehave, and one whose clock is set.
node_tests() {
  npm_packages clients/javascript
  node_files --test-concurrency=2 tests/{nodes,chaos,clocks}/*.test.mjs
}
