#!/usr/bin/env bash
# Builds the worker and the command line, and measures what telemetry costs. ROUNDS is how often each side is asked.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${BELFRY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/belfry}
target=${CARGO_TARGET_DIR:-target}
venv=$("$here/venv.sh")
cd "$here/../.."
e2e/tools/build.sh collector
cargo build --locked --release --package belfry-worker
cargo build --locked --release --package belfry-cli
command -v tmux >/dev/null || { echo "worker/clients/telemetry.sh: tmux is missing: run make clients once, or install it" >&2; exit 1; }
export LD_LIBRARY_PATH=${LIBTORCH:-$PWD/.deps/libtorch/link}/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
"$venv/bin/python" "$here/telemetry.py" "$target/release/belfry-worker" "$target/release/belfry" \
  "${BELFRY_MODEL_DIR:-$cache/models/all-MiniLM-L6-v2}" "$target/bench/telemetry.json" "${ROUNDS:-12}"
