#!/usr/bin/env bash
# Makes the Python environment of the clients, and prints its folder: every package pinned, half a minute, once.
# Safe to run twice: a folder of other requirements is made anew.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
venv=${BELFRY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/belfry}/clients-venv
fail() { echo "worker/clients/venv.sh: $*" >&2; exit 1; }
command -v python3 >/dev/null || fail "python3 is missing; install python3 and python3-venv"
if ! cat "$here"/requirements*.txt | cmp -s - "$venv/requirements.txt"; then
  rm -rf "$venv"
  python3 -m venv "$venv" >&2 || fail "no virtual environment; install python3-venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$here/requirements.txt" >&2
  "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --ignore-requires-python \
    --requirement "$here/requirements-alone.txt" >&2
  # The mark of a whole environment, so it comes last.
  cat "$here"/requirements*.txt > "$venv/requirements.txt"
fi
echo "$venv"
