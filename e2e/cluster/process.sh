# Background processes: start, find again, stop. A process is known by its pid and the time at which
# it started, since pids are used again.

say() { printf '%s\n' "$*"; }
fail() { printf 'cluster: %s\n' "$*" >&2; exit 1; }

# Field 22 of /proc/PID/stat; the name in field 2 may hold blanks, so it is cut off first.
start_time() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }

# start NAME COMMAND...
start() {
  local name=$1
  shift
  is_running "$name" && return 0
  rm -f "$state/run/$name.pid"
  setsid --fork bash -c 'echo $$ >"$0"; exec "$@"' "$state/run/$name.pid" "$@" >>"$state/logs/$name.log" 2>&1 </dev/null
  wait_for 50 test -s "$state/run/$name.pid" || fail "$name did not start"
  local pid
  pid=$(<"$state/run/$name.pid")
  echo "$pid $(start_time "$pid")" >"$state/run/$name"
}

pid_of() { cut -d' ' -f1 "$state/run/$1" 2>/dev/null; }

is_running() {
  local pid started
  read -r pid started 2>/dev/null <"$state/run/$1" || return 1
  [ -n "$started" ] && [ "$(start_time "$pid")" = "$started" ]
}

# stop SECONDS NAME...   asks politely, waits, and insists in the end
stop() {
  local seconds=$1 name
  shift
  for name in "$@"; do
    is_running "$name" && kill "$(pid_of "$name")" 2>/dev/null || true
  done
  for name in "$@"; do
    wait_for "$((seconds * 10))" is_stopped "$name" || kill -KILL "$(pid_of "$name")" 2>/dev/null || true
    wait_for 50 is_stopped "$name" || fail "$name does not end"
    rm -f "$state/run/$name" "$state/run/$name.pid"
  done
}

is_stopped() { ! is_running "$1"; }

# wait_for TENTHS_OF_A_SECOND COMMAND...   true as soon as the command is
wait_for() {
  local tries=$1
  shift
  while ! "$@" >/dev/null 2>&1; do
    [ "$tries" -gt 0 ] || return 1
    tries=$((tries - 1))
    sleep 0.1
  done
}

# must_wait SECONDS WHAT LOG COMMAND...
must_wait() {
  local seconds=$1 what=$2 log=$3
  shift 3
  wait_for "$((seconds * 10))" "$@" && return 0
  tail -n 15 "$state/logs/$log.log" >&2 || true
  fail "$what did not come up within $seconds s; see $state/logs/$log.log"
}
