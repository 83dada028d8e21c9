#!/usr/bin/env bash
# A control plane without a node: etcd, API server, controller manager. Scale and fault tests start one each, in a
# folder and on ports of their own, so that it may be slowed down, killed and filled without harm to the cluster.
#
# usage: without_node.sh up FOLDER PORT      etcd listens on PORT and PORT+1, the API server on PORT+2; prints the kubeconfig
#        without_node.sh start FOLDER PORT PART   one part again: etcd, kube-apiserver or kube-controller-manager
#        without_node.sh restart FOLDER PORT kube-controller-manager FLAGS...   the same part with more flags
#        without_node.sh down FOLDER PORT    stops the parts and deletes the folder
#
# The process of a part is in FOLDER/run/PART: its pid, a blank, the time at which it started.
# EXTRA_API_SERVER_FLAGS: more flags of the API server, such as --max-requests-inflight=20
set -euo pipefail
source "$(dirname "$0")/env.sh"
source "$here/process.sh"
source "$here/pki.sh"
source "$here/control_plane.sh"
[ $# -ge 3 ] || { sed -n '5,8p' "$0" | cut -c3- >&2; exit 2; }

state=$(mkdir -p "$2" && cd "$2" && pwd)
etcd_port=$3
node_ip=127.0.0.1
api=https://$node_ip:$((etcd_port + 2))
kubeconfig=$state/kubeconfig
export PATH=$bin:$PATH

start_part() {
  case $1 in
    etcd) start_etcd --quota-backend-bytes=4294967296 ;;
    kube-apiserver)
      # shellcheck disable=SC2086  # the flags are words of their own
      start_api_server --secure-port=$((etcd_port + 2)) --bind-address=$node_ip \
        --endpoint-reconciler-type=none --feature-gates=ImageVolume=true ${EXTRA_API_SERVER_FLAGS:-}
      must_wait 60 "the API server" kube-apiserver kube get --raw /readyz ;;
    kube-controller-manager) start_controller_manager --secure-port=0 "${@:2}" ;;
    *) fail "the control plane has no part $1" ;;
  esac
}

up() {
  mkdir -p "$state"/{config,logs,run,etcd}
  make_pki
  make_kubeconfigs
  local part
  for part in etcd kube-apiserver kube-controller-manager; do start_part $part; done
  say "$kubeconfig"
}

down() {
  stop 15 kube-controller-manager kube-apiserver
  stop 15 etcd
  rm -rf "$state"
}

case $1 in
  up) up ;;
  down) down ;;
  start) start_part "$4" ;;
  restart)
    stop 15 "$4"
    start_part "${@:4}" ;;
  *) fail "without_node.sh does not know $1" ;;
esac
