#!/usr/bin/env bash
# Says which parts of the local cluster run; ends with 1 when one does not.
set -euo pipefail
source "$(dirname "$0")/env.sh"
source "$here/process.sh"
code=0
for part in etcd kube-apiserver kube-controller-manager kube-scheduler coredns containerd kubelet kube-proxy; do
  if is_running "$part"; then
    printf '%-24s running, pid %s\n' "$part" "$(pid_of "$part")"
  else
    printf '%-24s stopped\n' "$part"
    code=1
  fi
done
exit $code
