#!/usr/bin/env bash
# Runs the Prometheus Operator, Prometheus and Alertmanager in the namespace `monitoring` of the local cluster, or finds
# them running. Prometheus takes every ServiceMonitor, PodMonitor and PrometheusRule labelled `release: monitoring`.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
cache=${BELFRY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/belfry}
state=${BELFRY_STATE:-$cache/cluster}
export KUBECONFIG=${KUBECONFIG:-$state/kubeconfig}
export PATH=$PATH:$cache/tools/bin
images=(prometheus prometheus-config-reloader prometheus-operator alertmanager)
operator_module=github.com/prometheus-operator/prometheus-operator
names=()   # of the images, set by import_images

say() { echo "monitoring: $*"; }
fail() { echo "monitoring: $*" >&2; exit 1; }

check_cluster() {
  command -v kubectl >/dev/null || fail "kubectl is missing: run e2e/tools/clients.sh"
  kubectl --request-timeout=10s get --raw /readyz >/dev/null \
    || fail "the cluster of $KUBECONFIG does not answer: start it with e2e/cluster/up.sh"
}

build_programs() {
  local image
  for image in "${images[@]}"; do
    [ -x "$cache/tools/bin/$image" ] || { "$root/e2e/tools/build.sh" prometheus prometheus-operator alertmanager; return; }
  done
}

import_images() {
  local image tar name tars=()
  mkdir -p "$state/images"
  for image in "${images[@]}"; do
    read -r tar name _ < <("$root/config/images/build.py" "$image" --out "$state/images" --tag content) \
      || fail "the image $image could not be built; the message is above"
    tars+=("$tar")
    names+=("$name")
  done
  "$root/config/images/import.sh" "${tars[@]}"
}

operator_folder() {
  local folder
  folder=$(GOWORK=off go -C "$root/e2e/tools/prometheus-operator" mod download -json $operator_module | jq -r .Dir)
  [ -d "$folder/example/prometheus-operator-crd" ] || fail "the module $operator_module has no example/prometheus-operator-crd: is the version in e2e/tools/prometheus-operator/go.mod right?"
  echo "$folder"
}

apply() { kubectl apply --server-side --force-conflicts --field-manager=belfry-monitoring "$@" >/dev/null; }

# Applying these large objects takes ten seconds, even when nothing changes.
crds_are_defined() {
  local folder=$1 version files defined
  version=$(awk '$1 == "operator.prometheus.io/version:" {print $2; exit}' "$folder"/*.yaml)
  files=("$folder"/*.yaml)
  defined=$(kubectl get crds --output 'jsonpath={range .items[*]}{.metadata.annotations.operator\.prometheus\.io/version}{"\n"}{end}' \
    | grep --count --line-regexp --fixed-strings "$version")
  [ "$defined" = ${#files[@]} ]
}

apply_crds() {
  local crds
  crds=$(operator_folder)/example/prometheus-operator-crd
  if crds_are_defined "$crds"; then
    say "the custom resources of the operator are defined already"
    return
  fi
  apply --filename "$crds"
  kubectl wait --for=condition=Established --timeout=30s --filename "$crds" >/dev/null
  say "the custom resources of the operator are defined"
}

# The manifests name the images :local. What is applied names their content, so that pods are replaced when it changes.
manifests() {
  local name file expressions=()
  for name in "${names[@]}"; do expressions+=(--expression "s#${name%:*}:local#$name#"); done
  for file in namespace prometheus-operator alertmanager prometheus; do
    echo ---
    sed "${expressions[@]}" "$here/$file.yaml"
  done
}

apply_manifests() {
  manifests | apply --filename -
  say "the manifests are applied"
}

# Each wait says what it saw when its time is over.
await() {
  local what=$1; shift
  "$@" >/dev/null || {
    kubectl --namespace monitoring get pods,prometheuses,alertmanagers >&2
    kubectl --namespace monitoring get events --sort-by=.lastTimestamp 2>/dev/null | tail -n 10 >&2
    fail "$what is not ready; its pods and last events are above"
  }
  say "$what is ready"
}

in_monitoring() { kubectl --namespace monitoring "$@"; }

check_cluster
build_programs
import_images
apply_crds
apply_manifests
await "the Prometheus Operator" in_monitoring rollout status deployment/prometheus-operator --timeout=90s
await Alertmanager in_monitoring wait --for=condition=Available --timeout=120s alertmanager/monitoring
await Prometheus in_monitoring wait --for=condition=Available --timeout=120s prometheus/monitoring
