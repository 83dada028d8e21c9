# The output of the demo: one plain line a step, with the time that it took.

number=0
begun=$SECONDS

# step TITLE COMMAND...   runs a command; its output goes to the log
step() {
  local title=$1 started=$SECONDS
  shift
  number=$((number + 1))
  printf '[%2d/%d] %s … ' $number $total "$title"
  if ! "$@" >>"$log" 2>&1; then
    echo "failed"
    echo "The last lines of $log:" >&2
    tail -n 15 "$log" | sed 's/^/    /' >&2
    echo "Mend that and run \`make demo\` again: it goes on where it stopped." >&2
    exit 1
  fi
  echo "$((SECONDS - started)) s"
}

# begin COMMAND...   starts a command beside the next steps; `begun` waits for it, and its output goes to the log too
begin() {
  "$@" >>"$log" 2>&1 &
  beside=$!
}

begun() { wait "$beside"; }

say_step() {
  number=$((number + 1))
  printf '[%2d/%d] %s\n' $number $total "$1"
}

# await TITLE SECONDS CONDITION STATE
# waits for a condition and shows, as it changes, what STATE prints
await() {
  number=$((number + 1))
  printf '[%2d/%d] ' $number $total
  watch_for "$@"
}

# The same, as a part of the step before.
await_more() {
  printf '        '
  watch_for "$@"
}

watch_for() {
  local title=$1 limit=$2 condition=$3 state_of=$4 started=$SECONDS last='' now
  printf '%s … ' "$title"
  until $condition 2>>"$log"; do
    if [ $((SECONDS - started)) -ge "$limit" ]; then
      echo "not within $limit s"
      echo "Last seen: $last" >&2
      kubectl get im,pods,events -n "$namespace" 2>&1 | tail -n 25 | sed 's/^/    /' >&2
      exit 1
    fi
    now=$($state_of 2>/dev/null || true)
    [ "$now" = "$last" ] || printf '%s … ' "${now:-nothing yet}"
    last=$now
    sleep 1
  done
  echo "$((SECONDS - started)) s"
}

run_all() {
  local command
  for command in "$@"; do $command || return 1; done
}
