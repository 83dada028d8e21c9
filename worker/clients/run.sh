#!/usr/bin/env bash
# Builds the worker and the command line, and runs the clients against it; flags go to check.py. The environment is made first, once.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${BELFRY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/belfry}
venv=$("$here/venv.sh")
cd "$here/../.."
cargo build --locked --release --package belfry-worker
# Its debug build is there already where the unit tests ran.
cargo build --locked --package belfry-cli
fail() { echo "worker/clients/run.sh: $*" >&2; exit 1; }
# belfry top is run in it.
if ! command -v tmux >/dev/null; then
  command -v apt-get >/dev/null || fail "tmux is missing, and so is apt-get: install tmux"
  { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends tmux; } >&2 \
    || fail "apt-get could not install tmux; its messages are above"
fi
# `cargo run` would set this; the worker is started by itself here, because its process gets signals.
export LD_LIBRARY_PATH=${LIBTORCH:-$PWD/.deps/libtorch/link}/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
"$venv/bin/python" "$here/check.py" "${CARGO_TARGET_DIR:-target}/release/belfry-worker" \
  "${CARGO_TARGET_DIR:-target}/debug/belfry" "${BELFRY_MODEL_DIR:-$cache/models/all-MiniLM-L6-v2}" "$@"
