# containerd, CNI, kubelet and kube-proxy: the one node, which is this machine.

start_node() {
  write_containerd_config >"$state/config/containerd.toml"
  write_cni_config >"$state/cni/10-pods.conflist"
  write_kubelet_config >"$state/config/kubelet.yaml"
  write_proxy_config >"$state/config/proxy.yaml"
  start containerd containerd --config "$state/config/containerd.toml"
  must_wait 30 containerd containerd images version
  BELFRY_STATE=$state "$root/config/images/import.sh" "$(pause_image)" >/dev/null
  forget_readiness
  start kubelet "$bin/kubelet" --config="$state/config/kubelet.yaml" --kubeconfig="$state/config/kubelet.kubeconfig" \
    --hostname-override=$node_name --node-ip=$node_ip --root-dir="$state/kubelet"
  must_wait 60 "the node" kubelet kube get node $node_name
  # It waits for its Node object once, and gives up without one.
  start kube-proxy "$bin/kube-proxy" --config="$state/config/proxy.yaml"
}

# After a crash the store still calls the node ready, and a reader would believe it before the kubelet is there.
forget_readiness() {
  kube get node $node_name >/dev/null 2>&1 || return 0
  kube patch node $node_name --subresource=status --patch \
    '{"status": {"conditions": [{"type": "Ready", "status": "Unknown", "reason": "Starting", "message": "the cluster starts again"}]}}' >/dev/null
}

pause_image() { "$root/config/images/build.py" pause --out "$state/images" | awk '{print $1}'; }

# `restrict_oom_score_adj`: without CAP_SYS_RESOURCE no process may lower its score, and every pod fails.
write_containerd_config() {
  cat <<EOF
version = 2
root = "$state/containerd/root"
state = "$state/containerd/state"
[grpc]
  address = "$containerd_socket"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:local"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$state/cni"
EOF
}

write_cni_config() {
  cat <<EOF
{
  "cniVersion": "1.0.0",
  "name": "pods",
  "plugins": [
    {
      "type": "bridge", "bridge": "$bridge", "isGateway": true, "hairpinMode": true, "ipMasq": false,
      "ipam": {"type": "host-local", "ranges": [[{"subnet": "$pod_range"}]], "routes": [{"dst": "0.0.0.0/0"}], "dataDir": "$state/cni/addresses"}
    },
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}
EOF
}

write_kubelet_config() {
  cat <<EOF
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: $state/pki/ca.crt}
authorization: {mode: Webhook}
cgroupDriver: cgroupfs
failSwapOn: false
clusterDNS: [$node_ip]
clusterDomain: cluster.local
# A changed Secret reaches a mounted volume at the pod's next turn, which is a minute away by default.
syncFrequency: 10s
containerRuntimeEndpoint: unix://$containerd_socket
# A developer's disk is often nearly full; that is no reason to evict a test.
evictionHard: {memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%}
imageGCHighThresholdPercent: 100
EOF
}

write_proxy_config() {
  cat <<EOF
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
hostnameOverride: $node_name
clusterCIDR: $pod_range
clientConnection: {kubeconfig: $state/config/proxy.kubeconfig}
# The sysctls of conntrack belong to the machine and stay as they are.
conntrack: {maxPerCore: 0, min: 0}
EOF
}
