# Certificates and kubeconfigs of the cluster, made on the spot and valid for a year.

make_pki() {
  local pki=$state/pki
  # A day's margin, so that a cluster does not lose its certificates while it runs.
  if openssl x509 -in "$pki/apiserver.crt" -noout -checkend 86400 >/dev/null 2>&1; then return; fi
  rm -rf "$pki"
  mkdir -p "$pki"
  (cd "$pki" && make_certificates) >"$state/logs/pki.log" 2>&1 || fail "openssl failed; see $state/logs/pki.log"
}

make_certificates() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.crt -subj /CN=belfry-local -days 366
  openssl genrsa -out service-account.key 2048
  certificate apiserver /CN=kube-apiserver
  certificate kubelet-client /O=system:masters/CN=kubelet-client
  certificate admin /O=system:masters/CN=admin
  certificate controller-manager /CN=system:kube-controller-manager
  certificate scheduler /CN=system:kube-scheduler
  certificate proxy /CN=system:kube-proxy
  certificate kubelet "/O=system:nodes/CN=system:node:$node_name"
}

certificate() {
  local names="DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local,DNS:localhost,DNS:$node_name,IP:127.0.0.1,IP:$api_service_ip,IP:$node_ip"
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$1.key" -out "$1.csr" -subj "$2"
  openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -out "$1.crt" -days 365 \
    -extfile <(printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth,clientAuth' "$names")
}

make_kubeconfigs() {
  local user
  for user in controller-manager scheduler proxy kubelet; do write_kubeconfig "$user" "$state/config/$user.kubeconfig"; done
  write_kubeconfig admin "$kubeconfig"
}

# Certificates are embedded, so that the file works wherever it is copied.
write_kubeconfig() {
  local pki=$state/pki
  (umask 077 && cat >"$2") <<EOF
apiVersion: v1
kind: Config
clusters:
- name: belfry
  cluster:
    server: $api
    certificate-authority-data: $(base64 -w0 "$pki/ca.crt")
users:
- name: $1
  user:
    client-certificate-data: $(base64 -w0 "$pki/$1.crt")
    client-key-data: $(base64 -w0 "$pki/$1.key")
contexts:
- name: belfry
  context: {cluster: belfry, user: $1}
current-context: belfry
EOF
}
