# etcd, API server, controller manager, scheduler and cluster DNS.

start_control_plane() {
  start_etcd
  start_api_server
  must_wait 60 "the API server" kube-apiserver kube get --raw /readyz
  start_controller_manager
  start kube-scheduler "$bin/kube-scheduler" --kubeconfig="$state/config/scheduler.kubeconfig" --leader-elect=false
  start_dns
}

# start_etcd FLAGS...   for clients on $etcd_port, and for peers on the next port
start_etcd() {
  local clients=http://127.0.0.1:$etcd_port peers=http://127.0.0.1:$((etcd_port + 1))
  start etcd "$bin/etcd" --data-dir "$state/etcd" --listen-client-urls "$clients" --advertise-client-urls "$clients" \
    --listen-peer-urls "$peers" --initial-advertise-peer-urls "$peers" --initial-cluster "default=$peers" \
    --unsafe-no-fsync --log-level warn "$@"
}

# start_controller_manager FLAGS...   as with the API server, of two flags of the same name the last one counts
start_controller_manager() {
  start kube-controller-manager "$bin/kube-controller-manager" --kubeconfig="$state/config/controller-manager.kubeconfig" \
    --service-account-private-key-file="$state/pki/service-account.key" --root-ca-file="$state/pki/ca.crt" \
    --cluster-signing-cert-file="$state/pki/ca.crt" --cluster-signing-key-file="$state/pki/ca.key" \
    --use-service-account-credentials --leader-elect=false "$@"
}

# start_api_server FLAGS...   but not one that takes a list: there both would count
start_api_server() {
  local pki=$state/pki
  write_audit_policy >"$state/config/audit.yaml"
  start kube-apiserver "$bin/kube-apiserver" --etcd-servers="http://127.0.0.1:$etcd_port" \
    --bind-address=0.0.0.0 --secure-port=6443 --advertise-address=$node_ip --service-cluster-ip-range=$service_range \
    --allow-privileged --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction \
    --client-ca-file="$pki/ca.crt" --tls-cert-file="$pki/apiserver.crt" --tls-private-key-file="$pki/apiserver.key" \
    --kubelet-client-certificate="$pki/kubelet-client.crt" --kubelet-client-key="$pki/kubelet-client.key" \
    --kubelet-preferred-address-types=InternalIP \
    --service-account-issuer=https://kubernetes.default.svc --service-account-key-file="$pki/service-account.key" \
    --service-account-signing-key-file="$pki/service-account.key" \
    --requestheader-client-ca-file="$pki/ca.crt" --requestheader-allowed-names=kube-apiserver \
    --requestheader-extra-headers-prefix=X-Remote-Extra- --requestheader-group-headers=X-Remote-Group \
    --requestheader-username-headers=X-Remote-User \
    --proxy-client-cert-file="$pki/apiserver.crt" --proxy-client-key-file="$pki/apiserver.key" \
    --audit-policy-file="$state/config/audit.yaml" --audit-log-path="$state/audit.log" \
    --audit-log-maxsize=100 --audit-log-maxbackup=2 "$@"
}

# Tests read from the log what the operator asked for. The cluster's own parts would only fill it.
write_audit_policy() {
  cat <<'EOF'
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  userGroups: [system:nodes, system:masters]
- level: None
  users: [system:kube-controller-manager, system:kube-scheduler, system:kube-proxy, system:apiserver]
- level: None
  userGroups: ["system:serviceaccounts:kube-system"]
- level: Metadata
EOF
}

start_dns() {
  cat >"$state/config/Corefile" <<EOF
.:53 {
  bind $node_ip
  errors
  kubernetes cluster.local in-addr.arpa {
    kubeconfig $kubeconfig
  }
  cache 5
}
EOF
  start coredns "$bin/coredns" -conf "$state/config/Corefile"
}
