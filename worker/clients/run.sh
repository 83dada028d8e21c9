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
command -v tmux >/dev/null || { echo "worker/clients/run.sh: tmux is missing, in which belfry top is run; install tmux" >&2; exit 1; }
# `cargo run` would set this; the worker is started by itself here, because its process gets signals.
export LD_LIBRARY_PATH=${LIBTORCH:-$PWD/.deps/libtorch/link}/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
"$venv/bin/python" "$here/check.py" "${CARGO_TARGET_DIR:-target}/release/belfry-worker" \
  "${CARGO_TARGET_DIR:-target}/debug/belfry" "${BELFRY_MODEL_DIR:-$cache/models/all-MiniLM-L6-v2}" "$@"
