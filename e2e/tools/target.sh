#!/usr/bin/env bash
# Makes the target folder forget this project's own crates when another checkout used it last. Cargo knows a crate by its path
# within the workspace and its age by times, and would take those of the other checkout for these.
set -euo pipefail
cd "$(dirname "$0")/../.."
: "${CARGO_TARGET_DIR:?is the folder that cargo builds into}"
stamp=$CARGO_TARGET_DIR/checkout
mkdir -p "$CARGO_TARGET_DIR"
[ "$(cat "$stamp" 2>/dev/null)" != "$PWD" ] || exit 0
for profile in dev release; do
  cargo clean --quiet --locked --profile $profile \
    --package belfry-crds --package belfry-logs --package belfry-traces --package belfry-render --package belfry-operator --package belfry-worker --package belfry-cli --package belfry-e2e
done
echo "$PWD" >"$stamp"
