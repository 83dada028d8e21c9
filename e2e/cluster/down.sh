#!/usr/bin/env bash
# Stops what up.sh started, and the pods with it. The state stays: the next start finds it again.
# With --delete the state goes too.
set -euo pipefail
source "$(dirname "$0")/env.sh"
source "$here/process.sh"

# Pods outlive the kubelet and containerd on purpose, so they are ended one by one.
stop_pods() {
  is_running containerd || return 0
  local task
  for task in $(images tasks ls -q 2>/dev/null); do images tasks kill -s KILL "$task" >/dev/null 2>&1 || true; done
  wait_for 100 no_running_tasks || say "some containers did not end; the next start looks after them"
  for task in $(images tasks ls -q 2>/dev/null); do images tasks rm -f "$task" >/dev/null 2>&1 || true; done
}

no_running_tasks() { ! images tasks ls | grep -q RUNNING; }

# What a crash of containerd leaves of the pods. Without it nothing restarts or ends them, and a container that
# lives on keeps its memory, its GPU and the locks on its files.
stop_remains() {
  local pid
  for pid in $(shims) $(container_processes); do kill -KILL "$pid" 2>/dev/null || true; done
  wait_for 100 no_container_processes || fail "containers do not end; their processes: $(container_processes | xargs)"
}

# Shims carry containerd's socket in their command line.
shims() { pgrep -f "^[^ ]*containerd-shim[^ ]* .*-address $containerd_socket" || true; }

# Each process whose root is a mount of this cluster's containerd, under any parent.
container_processes() { { grep -s ' / / ' /proc/[0-9]*/mountinfo || true; } | { grep -F "upperdir=$state/containerd/" || true; } | cut -d/ -f3; }

no_container_processes() { [ -z "$(container_processes)" ]; }

clean_network() {
  if command -v iptables-save >/dev/null; then
    iptables-save | grep -v -e KUBE- -e CNI- | iptables-restore || say "could not remove the rules of kube-proxy from iptables"
  fi
  remove_network_namespaces
  ip link delete $bridge 2>/dev/null || true
  ip address delete $node_ip/32 dev lo 2>/dev/null || true
  rm -rf "$state/cni/addresses"
}

# CNI names the container in the file of each address that it gave away, and the namespace in the container's result.
remove_network_namespaces() {
  local address result
  for address in "$state"/cni/addresses/pods/*.*.*.*; do
    [ -e "$address" ] || continue
    result=/var/lib/cni/results/pods-$(head -n 1 "$address" | tr -d '\r')-eth0
    [ -e "$result" ] || continue
    jq -r '.result.interfaces[]?.sandbox | select(. != null and . != "") | split("/") | last' "$result" | sort -u \
      | xargs -r -n 1 ip netns delete 2>/dev/null || true
  done
}

unmount() {
  awk -v prefix="$state/" 'index($2, prefix) == 1 {print $2}' /proc/mounts | sort -r | xargs -r umount -l
}

[ -d "$state" ] || exit 0
stop 10 kube-proxy kubelet
stop_pods
stop 15 coredns containerd kube-scheduler kube-controller-manager kube-apiserver
stop 15 etcd
stop_remains
unmount
clean_network
rm -rf "$state/containerd/state" "$state"/run/*
case ${1:-} in
  --delete) rm -rf "$state" && say "the cluster and its state are gone" ;;
  --quiet) ;;
  *) say "the cluster is stopped; its state stays in $state" ;;
esac
