#!/usr/bin/env bash
# From nothing to an answered request to a page, and back: one line a step, everything else in a log.
set -euo pipefail
source "$(dirname "$0")/cluster/env.sh"
here=$root/e2e
source "$here/demo/story.sh"
mkdir -p "$state/logs"
log=$state/logs/demo.log
: >"$log"
export KUBECONFIG=$kubeconfig PATH=$bin:$PATH
models=$state/demo/models
namespace=demo
total=13

sentences=("A cat sleeps on the sofa." "A kitten naps on the couch." "The stock market fell today." "Kubernetes restarts failed containers.")

check_tools() {
  local tool
  for tool in go cargo python3; do
    command -v $tool >/dev/null || { echo "$tool is missing: install Go 1.26, Rust (rustup) and Python 3.9 or newer"; return 1; }
  done
}

# Downloads leave the processors idle, and single large compilations one of two; so this goes on beside the first steps.
build_operator_and_worker() {
  "$here/tools/clients.sh" && "$root/worker/libtorch.sh" && "$here/models/fetch.sh" && nice -n 10 "$here/images.sh"
}

# In a condition bash forgets `set -e`, and steps run in one; hence the chains.
place_model() {
  mkdir -p "$models" && mend || return 1
  # A run that was broken off may have left a worker without weights, whose next start is minutes away.
  [ -e "$weights" ] || { cp -r "$BELFRY_MODEL_DIR" "$models/" && restart_pods; }
}

apply_model() {
  kubectl create namespace $namespace --dry-run=client -o yaml | kubectl apply --server-side -f - \
    && kubectl label namespace $namespace pod-security.kubernetes.io/enforce=restricted --overwrite \
    && sed "s#MODELS_FOLDER#$models#" "$here/demo/claim.yaml" | kubectl apply --server-side -f - \
    && kubectl apply --namespace $namespace -f "$root/config/samples/minilm.yaml"
}

readiness() {
  kubectl get im minilm -n $namespace -o \
    'jsonpath={.status.conditions[?(@.type=="Ready")].status} {.status.conditions[?(@.type=="Ready")].reason}'
}
is_ready() { [[ $(readiness) == True* ]]; }
is_not_ready() { ! is_ready; }

embed() {
  jq -cn '{input: $ARGS.positional, model: "minilm"}' --args "${sentences[@]}" >"$state/demo/request.json"
  kubectl create --raw /api/v1/namespaces/$namespace/services/http:minilm:80/proxy/v1/embeddings -f "$state/demo/request.json" \
    | python3 "$here/demo/similar.py" "${sentences[@]}"
}

prometheus() { kubectl get --raw "/api/v1/namespaces/monitoring/services/prometheus:9090/proxy/api/v1/$1"; }
target_is_up() { [ "$(prometheus "query?query=up%7Bnamespace%3D%22$namespace%22%2Cmodel%3D%22minilm%22%7D" | jq -r '.data.result[0].value[1]')" = 1 ]; }
loaded_rules() { prometheus rules | jq --arg ns "$namespace" '[.data.groups[].rules[] | select(.labels.namespace == $ns and .health == "ok")] | length'; }
rules_are_loaded() { [ "$(loaded_rules)" -gt 0 ]; }

# Only what Prometheus has seen ready can be down.
is_seen_ready() { [ "$(prometheus "query?query=belfry_model_replicas%7Bnamespace%3D%22$namespace%22%2Cmodel%3D%22minilm%22%2Cstate%3D%22ready%22%7D" | jq -r '.data.result[0].value[1]')" = 1 ]; }

is_monitored() { target_is_up && rules_are_loaded && is_seen_ready; }
monitored() { target_is_up && echo "target up" || echo "target not up"; }

alert() {
  kubectl get --raw /api/v1/namespaces/monitoring/services/alertmanager:9093/proxy/api/v2/alerts \
    | jq -c --arg ns "$namespace" 'map(select(.labels.alertname == "InferenceModelDown" and .labels.namespace == $ns)) | .[0] // empty'
}
alert_fires() { [ -n "$(alert)" ]; }
alert_is_gone() { [ -z "$(alert)" ]; }
show_alert() { alert | jq -r '"        [\(.labels.severity | ascii_upcase)] \(.labels.alertname)  \(.labels.namespace)/\(.labels.model)  (team \(.labels.team // "-"))\n        \(.annotations.summary)\n        Runbook  \(.annotations.runbook_url)"'; }

weights=$models/all-MiniLM-L6-v2/model.safetensors
break_it() { mv "$weights" "$weights.away" && restart_pods; }
mend() { [ ! -e "$weights.away" ] || mv "$weights.away" "$weights"; }
restart_pods() { kubectl delete pod -n $namespace -l belfry.dev/model=minilm --wait=false; }

step "looking for Go, Rust and Python" check_tools
begin build_operator_and_worker
step "building Kubernetes" "$here/tools/build.sh" pause kubernetes coredns
step "building Prometheus and Alertmanager" "$here/tools/build.sh" prometheus prometheus-operator alertmanager
# Mostly waiting, so that the compilers beside it lose hardly anything.
step "starting Kubernetes" run_all "$here/tools/clients.sh" "$here/cluster/up.sh"
step "starting Prometheus and Alertmanager" "$root/config/monitoring/install.sh"
step "building operator, worker and images, begun beside the steps before" begun
step "importing the images" "$here/images.sh"
step "installing the chart" "$here/install.sh"
step "applying config/samples/minilm.yaml" run_all place_model apply_model
await "waiting for the model to be Ready" 120 is_ready readiness
say_step "sending four sentences; how near are they to the first?"
embed
kubectl get im -n $namespace | sed 's/^/        /'
await "waiting for its target and rules in Prometheus" 90 is_monitored monitored
say_step "taking the weights away and ending the worker, as a bad volume would"
break_it >>"$log" 2>&1
await_more "InferenceModelDown reaches Alertmanager" 150 alert_fires readiness
show_alert
kubectl get im -n $namespace -o wide | cut -c1-200 | sed 's/^/        /'
mend
restart_pods >>"$log" 2>&1
await_more "the weights are back; the model recovers" 120 is_ready readiness
await_more "the alert resolves" 120 alert_is_gone readiness
cat <<EOF

The cluster stays up. To try next:
  export KUBECONFIG=$kubeconfig
  kubectl get im -A                                                 which models serve, and if not, why
  kubectl describe im minilm -n $namespace                                    every condition, and the events
  kubectl port-forward -n $namespace svc/minilm 8080:80                       then: curl localhost:8080/v1/embeddings --json '{"input":"hello"}'
  kubectl port-forward -n monitoring svc/alertmanager 9093          then open http://localhost:9093
  make cluster-down                                                 stop it; the next start takes seconds
EOF
