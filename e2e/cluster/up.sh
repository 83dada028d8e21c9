#!/usr/bin/env bash
# Starts a Kubernetes of one node from plain processes, or finds it running. Everything it writes is
# in one folder, so that a second start, and one after a crash, finds the same cluster again.
set -euo pipefail
source "$(dirname "$0")/env.sh"
source "$here/process.sh"
source "$here/pki.sh"
source "$here/control_plane.sh"
source "$here/node.sh"

parts=(etcd kube-apiserver kube-controller-manager kube-scheduler coredns containerd kubelet kube-proxy)

install_packages() {
  local package missing=()
  declare -A provides=([containerd]=containerd [runc]=runc [iptables]=iptables [socat]=socat [conntrack]=conntrack
    [openssl]=openssl [iproute2]=ip [jq]=jq)
  for package in "${!provides[@]}"; do command -v "${provides[$package]}" >/dev/null || missing+=("$package"); done
  [ -x /usr/lib/cni/bridge ] || missing+=(containernetworking-plugins)
  [ ${#missing[@]} -eq 0 ] && return
  say "installing ${missing[*]}"
  { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"; } \
    >"$state/logs/apt.log" 2>&1 || fail "apt-get failed; see $state/logs/apt.log"
}

all_running() {
  local part
  for part in "${parts[@]}"; do is_running "$part" || return 1; done
}

node_is_ready() {
  [ "$(kube get node $node_name -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}')" = True ]
}

# After a crash a part may have outlived the others; all of them start anew, over the same state.
sweep() {
  local part
  for part in "${parts[@]}"; do [ -e "$state/run/$part" ] && { "$here/down.sh" --quiet; return; }; done
  return 0
}

refuse_taken_ports() {
  local port
  for port in $etcd_port 6443 10250; do
    ! ss -Hltn "sport = :$port" | grep -q . || fail "port $port is taken by another process: stop it, or use its cluster (KUBECONFIG=… make install)"
  done
}

prepare_network() {
  ip addr replace $node_ip/32 dev lo
  # Service addresses are translated by iptables, and so must packets on the bridge be.
  for setting in net.ipv4.ip_forward net.bridge.bridge-nf-call-iptables; do
    [ "$(sysctl -n $setting 2>/dev/null)" = 1 ] || sysctl -qw $setting=1 || say "could not set $setting=1; Services may not answer from pods"
  done
}

[ "$(id -u)" = 0 ] || fail "a node needs root: run this as root, or use an existing cluster (KUBECONFIG=… make install)"
mkdir -p "$state"/{config,logs,run,cni,containerd,images,kubelet}
if all_running && node_is_ready; then
  say "the cluster is running; KUBECONFIG=$kubeconfig"
  exit 0
fi
command -v kubectl >/dev/null || PATH=$bin:$PATH
started=$SECONDS
install_packages
sweep
refuse_taken_ports
prepare_network
make_pki
make_kubeconfigs
start_control_plane
start_node
must_wait 60 "the node" kubelet node_is_ready
say "node ready after $((SECONDS - started)) s; KUBECONFIG=$kubeconfig"
