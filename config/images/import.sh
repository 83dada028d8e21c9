#!/usr/bin/env bash
# Imports images into the local cluster's containerd, and prints a line for each: imported, or there already.
#
# usage: import.sh TAR...          tars of build.py
set -euo pipefail
state=${BELFRY_STATE:-${BELFRY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/belfry}/cluster}
socket=$state/containerd/containerd.sock

fail() { echo "import.sh: $*" >&2; exit 1; }
images() { ctr --address "$socket" --namespace k8s.io images "$@"; }

# The index is the tar's first file, and the only thing that is read of an image that is there already.
index() { tar --extract --to-stdout --occurrence=1 --file "$1" index.json; }

digest_in_cluster() { images list "name==$1" | awk 'NR == 2 {print $3}'; }

import() {
  local tar=$1 name digest
  [ -f "$tar" ] || fail "$tar does not exist: build it with build.py"
  read -r name digest < <(index "$tar" | jq -r '.manifests[0] | "\(.annotations["io.containerd.image.name"]) \(.digest)"') \
    || fail "$tar holds no image: build it with build.py"
  if [ "$(digest_in_cluster "$name")" = "$digest" ]; then
    echo "$name is in the cluster already"
    return
  fi
  images import "$tar" >/dev/null
  echo "$name is imported"
}

[ $# -gt 0 ] || fail "which image? usage: import.sh TAR..."
for tool in ctr jq; do
  command -v $tool >/dev/null || fail "$tool is missing: e2e/cluster/up.sh installs it"
done
[ -S "$socket" ] || fail "no containerd listens at $socket: start the cluster with e2e/cluster/up.sh, or set BELFRY_STATE to its folder"
for tar in "$@"; do import "$tar"; done
