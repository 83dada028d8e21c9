# Where the cluster lives, and its addresses. Sourced by the scripts of this folder.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
cache=${BELFRY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/belfry}
state=${BELFRY_STATE:-$cache/cluster}
bin=$cache/tools/bin

# The node's address. The kubelet refuses loopback addresses, so this one is put on the loopback
# device; it leads nowhere else.
node_ip=10.245.0.1
node_name=node1
service_range=10.96.0.0/16
api_service_ip=10.96.0.1
pod_range=10.244.0.0/24
bridge=belfry0
etcd_port=2379
api=https://$node_ip:6443

kubeconfig=$state/kubeconfig
containerd_socket=$state/containerd/containerd.sock

kube() { kubectl --kubeconfig "$kubeconfig" --request-timeout=10s "$@"; }
images() { ctr --address "$containerd_socket" --namespace k8s.io "$@"; }
