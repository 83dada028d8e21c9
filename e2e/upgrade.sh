#!/usr/bin/env bash
# The upgrade test: from the operator of a commit to the present one, or from the present one to itself with a newer worker
# image. Needs no cluster.
#
# usage: upgrade.sh [COMMIT]
#
# The sources of the commit are checked out under BELFRY_STATE and built into a folder of their own: minutes for the first
# time, seconds afterwards.
set -euo pipefail
cd "$(dirname "$0")/.."

commit=${1:-}
cargo build --locked --package belfry-operator
if [ -n "$commit" ]; then
  commit=$(git rev-parse --verify --short=12 "$commit^{commit}")
  sources=$BELFRY_STATE/previous/$commit
  if [ ! -e "$sources/Cargo.toml" ]; then
    mkdir -p "$(dirname "$sources")"
    git worktree prune
    git worktree add --detach "$sources" "$commit"
  fi
  target=$BELFRY_CACHE/target-previous
  CARGO_TARGET_DIR=$target cargo build --locked --package belfry-operator --manifest-path "$sources/Cargo.toml"
  export BELFRY_PREVIOUS_SOURCES=$sources BELFRY_PREVIOUS_OPERATOR=$target/debug/belfry-operator
fi
cargo test --locked --package belfry-e2e --test upgrade
