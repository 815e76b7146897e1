# What the scripts in this directory share, each of which has the same load measure fourcast and another server in
# turn: nginx, the runs, and the end of everything that they started.

readonly here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly module=/usr/lib/nginx/modules/ngx_nchan_module.so
# As the configurations of nginx have them.
readonly workers=2
# How many seconds a server may take to start.
readonly start_timeout=10
directory=
started=()

# Makes a directory within $1, which goes with all that was started when the script ends, however it ends.
begin() {
  directory=$(mktemp -d -p "$1")
  trap stop EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  cargo build --release --locked --manifest-path "$here/../../Cargo.toml"
}

stop() {
  local pid
  for pid in "${started[@]}"; do
    kill "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
  done
  rm -rf "$directory"
}

# Starts nginx with the configuration $1; its processes are in $pids then. Where root starts it, its workers are
# somebody else, who must get into the directory.
start_nginx() {
  chmod 755 "$directory"
  nginx -p "$directory/" -e "$directory/error.log" -c "$here/$1" &
  local nginx=$! deadline=$((SECONDS + start_timeout))
  started+=("$nginx")
  until pids=$(pgrep -d, -P "$nginx") && [ "$(wc -w <<<"${pids//,/ }")" -eq "$workers" ]; do
    kill -0 "$nginx" 2>/dev/null || fail "nginx has ended: $(tail -n 1 "$directory/error.log")"
    ((SECONDS < deadline)) || fail "nginx did not start within $start_timeout s"
    sleep 0.1
  done
  pids=$nginx,$pids
}

# Appends the report of one run of server $2 to the results $1, and says what makes it doubtful; the rest is for
# fourcast bench. A run in which something was lost fails, but has a report.
measure() {
  local report
  report=$(fourcast bench "${@:3}" --json) || [ -n "$report" ] || fail "$2 could not be measured"
  [[ $report == *'"warnings":[]'* ]] || echo "$2: ${report##*\"warnings\":}" >&2
  printf '%s %s\n' "$2" "$report" >>"$directory/$1"
}

# Cargo knows where it has built it.
fourcast() {
  cargo run --quiet --release --locked --manifest-path "$here/../../Cargo.toml" --bin fourcast -- "$@"
}

# Prints the medians of all reports in the results $1, and by how much they differ, under the title $2.
compare() {
  printf '\n%s\n\n' "$2"
  awk -f "$here/medians.awk" "$directory/$1"
}

# Fails where a program, or nchan, is not there that the packages $1 have.
need() {
  local program
  for program in nginx "${@:2}"; do
    command -v "$program" >/dev/null || fail "$program is missing: apt-get install --no-install-recommends $1"
  done
  [ -e "$module" ] || fail "nchan is missing: apt-get install --no-install-recommends $1"
}

fail() {
  echo "$1" >&2
  exit 1
}
