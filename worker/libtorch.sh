#!/usr/bin/env bash
# Puts libtorch where cargo finds it, and prints its folder:
#   $BELFRY_CACHE/libtorch-2.11.0/{lib,include,link}
# The source is the torch wheel, because a package registry is the one place that build machines and CI reach. Of its
# 1.1 GB this keeps the two libraries that a CPU worker links, the three that those need, and the headers.
#
#   worker/libtorch.sh          what building, testing and serving on a CPU need (about 500 MB, half a minute)
#   worker/libtorch.sh --cuda   also everything that libtorch_cuda.so needs, in libtorch-2.11.0-cuda (about 4 GB);
#                               it holds lib/ only: set LD_LIBRARY_PATH to it, or copy it beside the binary as lib/
#
# Needs bash, python3 with pip, and nothing else. Safe to run twice, and by two shells at once.
set -euo pipefail

version=2.11.0      # the release that tch 0.24.0 is generated from
python_tag=311      # the libraries do not depend on it; a fixed wheel has a fixed checksum
cache=${BELFRY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/belfry}
checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cpu=$cache/libtorch-$version
cuda=$cache/libtorch-$version-cuda

torch_sha=7aa2f9bbc6d4595ba72138026b2074be1233186150e9292865e04b7a63b8c67a
cupti="nvidia-cuda-cupti==13.0.85 --hash=sha256:4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8"
cudart="nvidia-cuda-runtime==13.0.96 --hash=sha256:7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548"

fail() { echo "worker/libtorch.sh: $*" >&2; exit 1; }
say() { echo "worker/libtorch.sh: $*" >&2; }

command -v python3 >/dev/null || fail "python3 is missing; install python3 and python3-pip"
python3 -m pip --version >/dev/null 2>&1 || fail "pip is missing; install python3-pip"
[[ $(uname -sm) == "Linux x86_64" ]] || fail "only Linux on x86_64 is supported, this is $(uname -sm)"

# download DIR REQUIREMENT...: wheels into DIR, as pip's hash checking mode takes them.
download() {
  local dir=$1 glibc; shift
  printf '%s\n' "$@" >"$dir/requirements.txt"
  local platforms=(--platform manylinux2014_x86_64 --platform any)
  for glibc in {17..28}; do platforms+=(--platform "manylinux_2_${glibc}_x86_64"); done
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
    --implementation cp --python-version "$python_tag" --abi "cp$python_tag" --abi none "${platforms[@]}" \
    --dest "$dir" --requirement "$dir/requirements.txt" >&2
}

# unpack DIR DEST MODE: libraries flat into DEST/lib; with MODE "cpu" only the five that a CPU needs, and the headers.
unpack() {
  python3 - "$@" <<'PY'
import os, pathlib, re, shutil, sys, zipfile
source, dest, mode = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3]
minimal = {"libtorch_cpu.so", "libc10.so", "libgomp.so.1", "libcupti.so.13", "libcudart.so.13"}
library = re.compile(r"^(torch/lib|nvidia/.*/lib)/[^/]+\.so[^/]*$")
(dest / "lib").mkdir(parents=True)
for wheel in sorted(source.glob("*.whl")):
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            base = os.path.basename(name)
            if library.match(name) and (base in minimal if mode == "cpu" else "python" not in base):
                target = dest / "lib" / base
            elif mode == "cpu" and name.startswith("torch/include/") and base:
                target = dest / name.removeprefix("torch/")
            else:
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(name) as read, open(target, "wb") as write:
                shutil.copyfileobj(read, write, 1 << 20)
missing = minimal - set(os.listdir(dest / "lib"))
sys.exit(f"the wheels lack {sorted(missing)}" if missing else 0)
PY
}

# link DEST: the folder that tch's build script reads as $LIBTORCH. The wheel's own libtorch.so needs libtorch_cuda.so
# and with it all of CUDA, so a linker script stands in for it, and the binary needs torch_cpu and c10 alone.
# GNU ld also wants the libraries that torch_cpu needs in the same folder.
link() {
  local lib
  mkdir -p "$1/link/lib"
  for lib in "$1"/lib/*; do ln -s "../../lib/$(basename "$lib")" "$1/link/lib/"; done
  echo 'INPUT(-ltorch_cpu)' >"$1/link/lib/libtorch.so"
  ln -s ../include "$1/link/include"
  echo "$version" >"$1/link/build-version"
}

# publish FROM TO: the folder appears whole or not at all; when another shell was faster, its folder stays.
publish() { mv -T "$1" "$2" 2>/dev/null || [[ -d $2 ]] || fail "could not move $1 to $2"; }

# build DEST MODE REQUIREMENT...
build() {
  local dest=$1 mode=$2; shift 2
  [[ -d $dest ]] && return
  mkdir -p "$cache"
  work=$(mktemp -d "$cache/.libtorch.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  mkdir "$work/wheels"
  say "fetching torch $version for $mode into $dest"
  download "$work/wheels" "$@" || fail "pip could not fetch torch $version; see its message above"
  unpack "$work/wheels" "$work/tree" "$mode" || fail "the wheels of torch $version are not as expected"
  [[ $mode == cuda ]] || link "$work/tree"
  publish "$work/tree" "$dest"
  rm -rf "$work"
}

build "$cpu" cpu "torch==$version --hash=sha256:$torch_sha" "$cupti" "$cudart"

# .cargo/config.toml can name only paths inside the checkout, so a link in it leads to the cache. The folder ignores itself.
mkdir -p "$checkout/.deps"
[[ -e $checkout/.deps/.gitignore ]] || echo '*' >"$checkout/.deps/.gitignore"
[[ $(readlink "$checkout/.deps/libtorch" || true) == "$cpu" ]] || ln -sfn "$cpu" "$checkout/.deps/libtorch"

if [[ ${1:-} == --cuda ]]; then
  # The versions are those that torch 2.11.0 asks for; they carry no checksums because nothing here is linked against them.
  build "$cuda" cuda "torch==$version" nvidia-cublas==13.1.0.3 nvidia-cuda-cupti==13.0.85 nvidia-cuda-nvrtc==13.0.88 \
    nvidia-cuda-runtime==13.0.96 nvidia-cudnn-cu13==9.19.0.56 nvidia-cufft==12.0.0.61 nvidia-cufile==1.15.1.6 \
    nvidia-curand==10.4.0.35 nvidia-cusolver==12.0.4.66 nvidia-cusparse==12.6.3.3 nvidia-cusparselt-cu13==0.8.0 \
    nvidia-nccl-cu13==2.28.9 nvidia-nvjitlink==13.0.88 nvidia-nvshmem-cu13==3.4.5 nvidia-nvtx==13.0.85
  echo "$cuda"
else
  echo "$cpu"
fi
