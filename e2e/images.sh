#!/usr/bin/env bash
# Builds the operator, the worker and their images, and imports them into the local cluster when it
# runs. Leaves the images' names in STATE/images/{operator,worker}.name.
set -euo pipefail
source "$(dirname "$0")/cluster/env.sh"
mkdir -p "$state/images"
cd "$root"
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$cache/target}
e2e/tools/target.sh
cargo build --locked --release --package belfry-operator --package belfry-worker
for part in operator worker; do
  read -r tar name _ < <(config/images/build.py "belfry-$part" --out "$state/images" --tag content)
  echo "$name" >"$state/images/$part.name"
  [ ! -S "$containerd_socket" ] || config/images/import.sh "$tar"
done
