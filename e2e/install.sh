#!/usr/bin/env bash
# Installs the charts into the cluster of KUBECONFIG, by default the local one.
#
#   IMAGE_REGISTRY   where your cluster finds belfry-operator and belfry-worker; without it the
#                    images that were imported into the local cluster are used
#   HELM_ARGS        more arguments for the operator's chart
set -euo pipefail
source "$(dirname "$0")/cluster/env.sh"
export KUBECONFIG=${KUBECONFIG:-$kubeconfig}
namespace=belfry-system

image_values() {
  local part=$1 key=$2 name
  if [ -n "${IMAGE_REGISTRY:-}" ]; then
    printf -- '--set %s.repository=%s/belfry-%s ' "$key" "$IMAGE_REGISTRY" "$part"
  else
    name=$(<"$state/images/$part.name")
    printf -- '--set %s.repository=%s --set-string %s.tag=%s ' "$key" "${name%:*}" "$key" "${name##*:}"
  fi
}

kubectl create namespace $namespace --dry-run=client -o yaml | kubectl apply --server-side -f - >/dev/null
kubectl label namespace $namespace pod-security.kubernetes.io/enforce=restricted --overwrite >/dev/null
helm upgrade --install belfry-crds "$root/charts/belfry-crds" --namespace $namespace >/dev/null
# shellcheck disable=SC2046,SC2086  # the values are words of their own
helm upgrade --install belfry "$root/charts/belfry" --namespace $namespace --wait --timeout 3m \
  $(image_values operator image) $(image_values worker workerImage) \
  --set monitoring.labels.release=monitoring --set monitoring.interval=5s \
  --set 'monitoring.names={sie,smg,matrixinfer,skyserve,tei,vllm,triton}' \
  --set monitoring.prometheusURL=http://prometheus.monitoring:9090 ${HELM_ARGS:-} >/dev/null
echo "the charts belfry-crds and belfry are installed in $namespace"
