#!/usr/bin/env bash
# Lints the charts, and renders the operator's with the values that change its shape.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
for chart in belfry-crds belfry; do helm lint --strict --quiet "$root/charts/$chart"; done
render() { helm template belfry "$root/charts/belfry" "$@"; }
count() { grep -c "^kind: $1$" || true; }

[ "$(render --set monitoring.enabled=true | count PrometheusRule)" = 1 ] || { echo "monitoring.enabled=true renders no PrometheusRule" >&2; exit 1; }
[ "$(render --set monitoring.enabled=false | count ServiceMonitor)" = 0 ] || { echo "monitoring.enabled=false renders a ServiceMonitor" >&2; exit 1; }
watchdogs() { render --set monitoring.enabled=true "$@" | grep -c 'alert: InferenceWatchdog$' || true; }
[ "$(watchdogs)" = 0 ] && [ "$(watchdogs --set monitoring.watchdog=true)" = 1 ] || { echo "monitoring.watchdog does not decide about the watchdog" >&2; exit 1; }
# A set of names is a file, and its name is in the schema.
for file in "$root"/charts/belfry/files/names/*.yaml; do
  id=$(basename "$file" .yaml)
  render --set monitoring.enabled=true --set "monitoring.names={$id}" | grep -q "inference.names.$id$" || { echo "monitoring.names={$id} renders no rules" >&2; exit 1; }
done
! render --set monitoring.enabled=true --set 'monitoring.names={unknown}' >/dev/null 2>&1 || { echo "values.schema.json lets an unknown set of names pass" >&2; exit 1; }
[ "$(render | count ConfigMap)" = 5 ] || { echo "not all dashboards are rendered" >&2; exit 1; }
board=$(render --set monitoring.dashboard.timezone=utc --set monitoring.dashboard.datasource=Thanos --set monitoring.dashboard.annotations.grafana_folder=Inference)
[ "$(grep -c 'timezone\\":\\"utc' <<<"$board")" = 5 ] && [ "$(grep -c 'value\\":\\"Thanos' <<<"$board")" = 5 ] && [ "$(grep -c 'grafana_folder: Inference' <<<"$board")" = 5 ] || { echo "time zone, data source or folder do not reach the dashboards" >&2; exit 1; }
[ "$(render --set monitoring.dashboard.enabled=false | count ConfigMap)" = 0 ] || { echo "monitoring.dashboard.enabled=false renders a dashboard" >&2; exit 1; }
render | grep -q 'resources: \[nodes\]' || { echo "the ClusterRole does not grant nodes" >&2; exit 1; }
! render --set 'namespaces={a}' | grep -q 'resources: \[nodes\]' || { echo "a Role grants nodes, which are in no namespace" >&2; exit 1; }
traced=$(render --set tracing.endpoint=http://otel:4317)
grep -q -- '--otlp-traces-endpoint=http://otel:4317' <<<"$traced" && grep -q OTEL_EXPORTER_OTLP_TRACES_PROTOCOL <<<"$traced" || { echo "tracing.endpoint does not reach the operator" >&2; exit 1; }
! render | grep -q 'enable-trace' || { echo "the operator traces without being asked to" >&2; exit 1; }
priced=$(render --set-json 'cost.prices=[{"gpu":"NVIDIA-L4","perGPU":0.21}]')
grep -qF -- '--prices={\"currency\":\"USD\",\"rows\":[{\"gpu\":\"NVIDIA-L4\",\"perGPU\":0.21}]}' <<<"$priced" || { echo "cost.prices do not reach the operator" >&2; exit 1; }
! render | grep -q -- '--prices' || { echo "the operator has prices without being given any" >&2; exit 1; }
! render --set imagee.tag=1 >/dev/null 2>&1 || { echo "values.schema.json lets a misspelt value pass" >&2; exit 1; }
two=$(render --set replicas=2)
[ "$(count PodDisruptionBudget <<<"$two")" = 1 ] && grep -q podAntiAffinity <<<"$two" || { echo "two operators have no budget, or may stand on one node" >&2; exit 1; }
[ "$(render | count PodDisruptionBudget)" = 0 ] || { echo "the budget of a single operator would hold drains up" >&2; exit 1; }
! render --set replicas=2 --set affinity.nodeAffinity.a=b | grep -q podAntiAffinity || { echo "an affinity of the user is not taken as it is" >&2; exit 1; }
