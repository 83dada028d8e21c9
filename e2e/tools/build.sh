#!/usr/bin/env bash
# Builds the Go programs that the local cluster and the tests need. Each module of this folder pins
# its tools in go.mod; the programs land outside the checkout, keyed by what they are built from, so
# that nothing is built twice.
#
# usage: build.sh [MODULE...]      those of the cluster by default, in the order in which a start needs them
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${BELFRY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/belfry}/tools
modules=(pause kubernetes coredns prometheus prometheus-operator alertmanager)
workspace=$here/go.work

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
  if [ "$1" = prometheus ]; then echo remove_all_sd,enable_kubernetes_sd; fi
}

# Inlining is a quarter of the compiler's work. Only what a request to the API server, a scrape or a rule passes through
# is worth it: the standard library, protocols and codecs, the API machinery, etcd and Prometheus.
compiler_flags() {
  local package
  printf '%s\n' -gcflags=all=-l
  for package in std google.golang.org/... go.etcd.io/... github.com/prometheus/... sigs.k8s.io/... k8s.io/apimachinery/... k8s.io/apiserver/...; do
    printf '%s\n' "-gcflags=$package="
  done
}

# What the versions of a module's dependencies are read from.
workspace_of() {
  if grep -q "^	./$1$" "$workspace"; then echo "$workspace"; else echo off; fi
}

files_of_workspace() {
  if [ "$(workspace_of "$1")" != off ]; then awk -v here="$here" '$1 ~ /^\.\// {print here "/" $1 "/go.mod"}' "$workspace"; echo "$workspace"; fi
}

# Packages to build: the tools of go.mod, and the module's own main package if it has one.
packages() {
  awk '$1 == "tool" && $2 != "(" {print $2} /^tool \($/ {inside = 1; next} /^\)/ {inside = 0} inside {print $1}' "$here/$1/go.mod"
  if ls "$here/$1"/*.go >/dev/null 2>&1; then echo .; fi
}

# `go build` names a program after its folder, which for two of them says too little.
rename_programs() {
  local pair
  for pair in server:etcd operator:prometheus-operator; do
    if [ -e "$1/${pair%:*}" ]; then mv "$1/${pair%:*}" "$1/${pair#*:}"; fi
  done
}

# One call for all programs of a module, so that one is linked while the next is still being compiled. The compiler is
# started thousands of times, for half a second each: collecting hardly any garbage saves a seventh of the time.
compile() {
  local module=$1 folder=$2
  # shellcheck disable=SC2046  # the packages are words of their own
  (cd "$here/$module" && CGO_ENABLED=0 GOFLAGS='' GOTOOLCHAIN=local GOWORK=$(workspace_of "$module") GOGC=1600 nice -n 10 \
    go build -buildvcs=false -trimpath $(compiler_flags) -tags "$(tags "$module")" \
    -ldflags "$(linker_flags "$module")" -o "$folder/" $(packages "$module"))
}

build() {
  local module=$1 key target partial log=$cache/$1.log started=$SECONDS
  # shellcheck disable=SC2046  # the files are words of their own
  key=$({ cat "$here/$module"/go.* "$here/$module"/*.go $(files_of_workspace "$module") 2>/dev/null; go version; compiler_flags; linker_flags "$module"; tags "$module"; } | sha256sum | cut -c1-16)
  target=$cache/$module-$key
  if [ ! -d "$target" ]; then
    printf 'building %-20s ' "$module"
    # A second build waits, and then finds it built.
    exec 9>"$cache/.$module.lock"
    flock 9
    if [ ! -d "$target" ]; then
      rm -rf "$cache/.$module."??????   # what interrupted builds left
      partial=$(mktemp -d "$cache/.$module.XXXXXX")
      if ! compile "$module" "$partial" >"$log" 2>&1; then
        printf 'failed; the last lines of %s:\n' "$log" >&2
        tail -n 15 "$log" >&2
        rm -rf "$partial"
        exit 1
      fi
      rename_programs "$partial"
      # Renamed when it is whole, so that an interrupted build leaves nothing that looks finished.
      mv "$partial" "$target"
    fi
    exec 9>&-
    echo "$((SECONDS - started)) s"
  fi
  ln -sf "$target"/* "$cache/bin/"
}

command -v go >/dev/null || { echo "go is missing: install Go $(awk '/^go /{print $2}' "$here/kubernetes/go.mod") or newer" >&2; exit 1; }
mkdir -p "$cache/bin"
[ $# -gt 0 ] || set -- "${modules[@]}"
for module in "$@"; do build "$module"; done
