#!/usr/bin/env bash
# Counts the broker's own instructions for each delivery and for each heartbeat, with callgrind.
#
#   bench/callgrind.sh [SUBSCRIBERS [UPDATES]]        500 subscribers, 400 updates
#
# Each load runs twice, once with three times as much of it. The difference leaves out what both
# have: starting, connecting, joining, stopping. What the kernel does in a system call is not
# counted. Instructions depend neither on the machine's speed nor on what else it does, so small
# changes show; how long an instruction takes they don't tell.
#
# Needs valgrind, and installs nothing. Builds the broker with debug symbols into target/callgrind;
# the profiles stay there, for callgrind_annotate.
set -euo pipefail
cd "$(dirname "$0")/.."

subscribers=${1:-500}
updates=${2:-400}
connections=200
rate=2000
seconds=5
shown=12

out=target/callgrind/profiles
broker=target/callgrind/release/herenow
generator=target/release/herenow-bench

for tool in valgrind callgrind_annotate; do
  command -v "$tool" >/dev/null || { echo "bench/callgrind.sh: $tool is needed" >&2; exit 1; }
done

CARGO_PROFILE_RELEASE_DEBUG=1 cargo build --quiet --release --locked --package herenow --target-dir target/callgrind
cargo build --quiet --release --locked --package herenow-bench
mkdir -p "$out"

pid=
trap '[ -z "$pid" ] || kill "$pid"' EXIT

# profile NAME MODE [FLAG…]: the broker under callgrind while the generator runs a mode.
profile() {
  local name=$1 address=
  shift
  rm -f "$out/$name"
  valgrind --quiet --tool=callgrind --callgrind-out-file="$out/$name" --log-file="$out/$name.log" \
    "$broker" --listen 127.0.0.1:0 --log warn >"$out/$name.stdout" &
  pid=$!
  for _ in $(seq 300); do
    address=$(sed -n 's#^listening on http://##p' "$out/$name.stdout")
    [ -z "$address" ] || break
    sleep 0.1
  done
  [ -n "$address" ] || { echo "bench/callgrind.sh: the broker does not start" >&2; exit 1; }
  "$generator" "$@" --url "ws://$address" --pid "$pid" >"$out/$name.table" 2>&1 ||
    { cat "$out/$name.table" >&2; exit 1; }
  # It writes the profile when it ends.
  kill "$pid"
  wait "$pid" || true
  pid=
}

instructions() { sed -n 's/^\(totals\|summary\): //p' "$out/$1" | head -n 1; }

# functions NAME: each function's own instructions, and its name.
functions() {
  callgrind_annotate --auto=no --threshold=100 --show-percs=no "$out/$1" |
    sed -n 's/^ *\([0-9][0-9,]*\)  *[^ :]*:\(.*\)$/\1\t\2/p' |
    sed 's/ \[[^]]*\]$//' |
    awk -F '\t' '{ gsub(",", "", $1); own[$2] += $1 } END { for (f in own) print own[f] "\t" f }'
}

# compare WHAT COUNT LESS MORE: prints the difference for each of COUNT, and where it was spent.
compare() {
  local what=$1 count=$2 less=$3 more=$4
  awk -v what="$what" -v count="$count" -v less="$(instructions "$less")" \
    -v more="$(instructions "$more")" \
    'BEGIN { printf "%.0f instructions per %s (%d of them)\n", (more - less) / count, what, count }'
  awk -F '\t' -v count="$count" 'NR == FNR { less[$2] = $1; next }
    { printf "%10.1f  %s\n", ($1 - less[$2]) / count, $2 }' \
    <(functions "$less") <(functions "$more") | sort -rn | awk -v shown="$shown" 'NR <= shown'
  echo
}

profile fanout-less fanout --subscribers "$subscribers" --updates "$updates"
profile fanout-more fanout --subscribers "$subscribers" --updates $((3 * updates))
# A tenth as many updates go before those that the generator measures.
warm=$((updates / 10))
compare delivery $(((2 * updates + 2 * warm) * subscribers)) fanout-less fanout-more

profile heartbeat-less heartbeat "$connections" --rate "$rate" --seconds "$seconds"
profile heartbeat-more heartbeat "$connections" --rate "$rate" --seconds $((3 * seconds))
compare heartbeat $((2 * seconds * rate)) heartbeat-less heartbeat-more
