#!/usr/bin/env bash
# Pushes an image to a registry, where other clusters find it, and prints its digest there: on the way the layers are
# compressed, so it is another one than build.py prints.
#
# usage: push.sh TAR REGISTRY/NAME:TAG [SKOPEO_ARGUMENT...]
#   push.sh out/belfry-operator.tar registry.example.com/belfry-operator:0.1.0 --dest-creds USER:PASSWORD
set -euo pipefail

fail() { echo "push.sh: $*" >&2; exit 1; }

install_skopeo() {
  command -v apt-get >/dev/null || fail "skopeo is missing, and so is apt-get: install skopeo"
  [ "$(id -u)" = 0 ] || fail "skopeo is missing, and only root may install it: run apt-get install skopeo as root"
  { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends skopeo; } >&2 \
    || fail "apt-get could not install skopeo; its messages are above"
}

[ $# -ge 2 ] || fail "usage: push.sh TAR REGISTRY/NAME:TAG [SKOPEO_ARGUMENT...]"
tar=$1 target=$2
shift 2
[ -f "$tar" ] || fail "$tar does not exist: build it with build.py"
case $target in
  */*:*) ;;
  *) fail "$target names no registry or no tag: REGISTRY/NAME:TAG is asked for" ;;
esac
command -v skopeo >/dev/null || install_skopeo
digest=$(mktemp)
trap 'rm -f "$digest"' EXIT
# Without a policy, which some installations of skopeo lack, it refuses to copy anything; the image is our own.
skopeo --insecure-policy copy --digestfile "$digest" "$@" "oci-archive:$tar" "docker://$target" >&2 \
  || fail "$target was not pushed; check the registry's name, your rights there, and skopeo's message above"
echo "$target is pushed; $(<"$digest")"
