#!/usr/bin/env bash
# Builds the worker and opens its pages in a headless Chromium. The browser is Debian's, installed where it is missing.
# Says so, and ends with 0, where it can't be installed.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${BELFRY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/belfry}
found() { command -v chromium || command -v chromium-browser || command -v google-chrome; }
if ! found >/dev/null; then
  echo "worker/clients/browser.sh: installing chromium with apt-get, about 400 MB …" >&2
  log=$(mktemp)
  if ! { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends chromium; } >"$log" 2>&1; then
    echo "SKIPPED: no Chromium here, and apt-get can't install one: $(tail -n 1 "$log"). Install chromium, and run it again."
    exit 0
  fi
fi
venv=$("$here/venv.sh")
cd "$here/../.."
cargo build --locked --release --package belfry-worker
# `cargo run` would set this; the worker is started by itself here.
export LD_LIBRARY_PATH=${LIBTORCH:-$PWD/.deps/libtorch/link}/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
"$venv/bin/python" "$here/browser.py" "$(found)" "${CARGO_TARGET_DIR:-target}/release/belfry-worker" \
  "${BELFRY_MODEL_DIR:-$cache/models/all-MiniLM-L6-v2}"
