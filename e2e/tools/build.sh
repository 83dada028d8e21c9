#!/usr/bin/env bash
# Builds the Go programs that the local cluster and the tests need. Each module of this folder pins
# its tools in go.mod; the programs land outside the checkout, keyed by what they are built from, so
# that nothing is built twice.
#
# usage: build.sh [MODULE...]      all modules by default, in the order in which a start needs them
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${BELFRY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/belfry}/tools
log=$cache/build.log
modules=(pause kubernetes coredns prometheus prometheus-operator alertmanager helm)

# Without its version linked in, an API server reports v0.0.0 and clients misbehave.
kubernetes_version() {
  local version major minor
  version=$(awk '$1 == "k8s.io/kubernetes" {print $2}' "$here/kubernetes/go.mod")
  IFS=. read -r major minor _ <<<"${version#v}"
  local package=k8s.io/component-base/version
  echo "-X $package.gitVersion=$version -X $package.gitMajor=$major -X $package.gitMinor=$minor -X $package.gitTreeState=clean"
}

linker_flags() {
  echo "-s -w $([ "$1" = kubernetes ] && kubernetes_version)"
}

# Service discoveries for other clouds bring a hundred packages that nothing here uses.
tags() {
  [ "$1" = prometheus ] && echo remove_all_sd,enable_kubernetes_sd || true
}

# Packages to build: the tools of go.mod, and the module's own main package if it has one.
packages() {
  awk '$1 == "tool" && $2 != "(" {print $2} /^tool \($/ {inside = 1; next} /^\)/ {inside = 0} inside {print $1}' "$here/$1/go.mod"
  if ls "$here/$1"/*.go >/dev/null 2>&1; then echo .; fi
}

# A program is named after its folder, but for two whose folder says too little.
program_name() {
  case $1 in
    go.etcd.io/etcd/server/v3) echo etcd ;;
    github.com/prometheus-operator/prometheus-operator/cmd/operator) echo prometheus-operator ;;
    .) echo "$2" ;;
    *) basename "$1" ;;
  esac
}

build() {
  local module=$1 key target partial started package
  key=$({ cat "$here/$module"/go.* "$here/$module"/*.go 2>/dev/null; go version; linker_flags "$module"; tags "$module"; } | sha256sum | cut -c1-16)
  target=$cache/$module-$key
  if [ ! -d "$target" ]; then
    started=$SECONDS
    printf 'building %-20s ' "$module"
    partial=$(mktemp -d "$cache/.$module.XXXXXX")
    for package in $(packages "$module"); do
      if ! (cd "$here/$module" && CGO_ENABLED=0 GOTOOLCHAIN=local nice -n 10 go build -buildvcs=false -trimpath -tags "$(tags "$module")" \
        -ldflags "$(linker_flags "$module")" -o "$partial/$(program_name "$package" "$module")" "$package") >>"$log" 2>&1; then
        printf 'failed; the last lines of %s:\n' "$log" >&2
        tail -n 15 "$log" >&2
        rm -rf "$partial"
        exit 1
      fi
    done
    # Renamed when it is whole, so that an interrupted build leaves nothing that looks finished.
    mv "$partial" "$target"
    echo "$((SECONDS - started)) s"
  fi
  ln -sf "$target"/* "$cache/bin/"
}

command -v go >/dev/null || { echo "go is missing: install Go $(awk '/^go /{print $2}' "$here/kubernetes/go.mod") or newer" >&2; exit 1; }
mkdir -p "$cache/bin"
: >"$log"
[ $# -gt 0 ] || set -- "${modules[@]}"
for module in "$@"; do build "$module"; done
