#!/usr/bin/env bash
# Makes a control plane ready for an operator that runs as a process beside it: the kinds that it works with, the rights that the
# chart gives it, and a kubeconfig with which it has these rights and no others.
#
# usage: prepare.sh KUBECONFIG OUT   KUBECONFIG of an administrator; OUT is written for the operator
#
# Of the Prometheus Operator's kinds only those are defined that Belfry writes; the others only cost time.
set -euo pipefail
source "$(dirname "$0")/env.sh"
[ $# = 2 ] || { sed -n '5p' "$0" | cut -c3- >&2; exit 2; }
export KUBECONFIG=$1 PATH=$bin:$PATH
out=$2
namespace=belfry-system
operator=belfry-operator
module=github.com/prometheus-operator/prometheus-operator

folder=$(GOWORK=off go -C "$root/e2e/tools/prometheus-operator" mod download -json $module | jq -r .Dir)
kinds=("$root/crds/inferencemodels.yaml")
for kind in servicemonitors prometheusrules alertmanagerconfigs; do
  kinds+=("$folder/example/prometheus-operator-crd/monitoring.coreos.com_$kind.yaml")
done
# Before a new definition has a status at all, kubectl does not wait for one.
is_served() { timeout 30 bash -c 'until kubectl wait --for=condition=Established --filename "$0" >/dev/null 2>&1; do sleep 0.2; done' "$1"; }
for file in "${kinds[@]}"; do
  kubectl apply --server-side --filename "$file" >/dev/null
  is_served "$file" || { echo "prepare.sh: the API server does not serve $file" >&2; exit 1; }
done
kubectl create namespace $namespace >/dev/null
helm template belfry "$root/charts/belfry" --namespace $namespace --show-only templates/rbac.yaml \
  | kubectl apply --server-side --filename - >/dev/null

cp "$KUBECONFIG" "$out"
token=$(kubectl create token $operator --namespace $namespace --duration=24h)
KUBECONFIG=$out kubectl config set-credentials $operator --token="$token" >/dev/null
KUBECONFIG=$out kubectl config set-context belfry --user=$operator >/dev/null
KUBECONFIG=$out kubectl config delete-user admin >/dev/null
