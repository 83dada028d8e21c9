#!/usr/bin/env bash
# Converts the model of the demo into llama.cpp's format, and prints the folder:
#   $BELFRY_CACHE/models/all-MiniLM-L6-v2-gguf/{embedding,rerank}.gguf
# The reranker is the same network with a head of random weights. Needs python3 with venv. Safe to run twice.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${BELFRY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/belfry}
dest=$cache/models/all-MiniLM-L6-v2-gguf
fail() { echo "e2e/engines/gguf_models.sh: $*" >&2; exit 1; }

# Made anew when what makes it has changed.
key=$(cat "$here"/{requirements.txt,gguf_models.py} | sha256sum | cut -c1-16)
if [[ $(cat "$dest/made-by" 2>/dev/null) != "$key" ]]; then
  source=$("$here/../models/fetch.sh")
  work=$(mktemp -d "$cache/models/.gguf.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  echo "e2e/engines/gguf_models.sh: converting $(basename "$source") into $dest" >&2
  python3 -m venv "$work/venv" >&2 || fail "no virtual environment; install python3-venv"
  "$work/venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$here/requirements.txt" >&2 ||
    fail "pip could not fetch what $here/requirements.txt names; see its message above"
  mkdir "$work/models"
  "$work/venv/bin/python" "$here/gguf_models.py" "$source" "$work/models"
  echo "$key" >"$work/models/made-by"
  rm -rf "$dest"
  mv -T "$work/models" "$dest"
fi
echo "$dest"
