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

# Shims are started by containerd and carry its socket's folder in their command line; after a crash
# of containerd they are all that is left of the pods.
stop_shims() {
  local pid
  for pid in $(pgrep -f "containerd-shim.*-address $containerd_socket" || true); do kill -KILL "$pid" 2>/dev/null || true; done
}

clean_network() {
  if command -v iptables-save >/dev/null; then
    iptables-save | grep -v -e KUBE- -e CNI- | iptables-restore || say "could not remove the rules of kube-proxy from iptables"
  fi
  ip link delete $bridge 2>/dev/null || true
  rm -rf "$state/cni/addresses"
}

unmount() {
  awk -v prefix="$state/" 'index($2, prefix) == 1 {print $2}' /proc/mounts | sort -r | xargs -r umount -l
}

[ -d "$state" ] || exit 0
stop 10 kube-proxy kubelet
stop_pods
stop 15 coredns containerd kube-scheduler kube-controller-manager kube-apiserver
stop 15 etcd
stop_shims
unmount
clean_network
rm -rf "$state/containerd/state" "$state"/run/*
case ${1:-} in
  --delete) rm -rf "$state" && say "the cluster and its state are gone" ;;
  --quiet) ;;
  *) say "the cluster is stopped; its state stays in $state" ;;
esac
