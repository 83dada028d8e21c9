#!/usr/bin/env bash
# Builds images of other engines, and imports them into the local cluster when it runs. Leaves the images' names in
# STATE/images/ENGINE.name.
set -euo pipefail
source "$(dirname "$0")/../cluster/env.sh"
mkdir -p "$state/images"
cd "$root"
e2e/engines/llama_cpp.sh >/dev/null
e2e/engines/triton.sh >/dev/null
e2e/engines/gguf_models.sh >/dev/null
for engine in llama-cpp triton; do
  read -r tar name _ < <(config/images/build.py "$engine" --out "$state/images" --tag content)
  echo "$name" >"$state/images/$engine.name"
  [ ! -S "$containerd_socket" ] || config/images/import.sh "$tar"
done
