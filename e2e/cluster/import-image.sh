#!/usr/bin/env bash
# Imports an image tar into the local cluster's containerd. usage: import-image.sh TAR
set -euo pipefail
source "$(dirname "$0")/env.sh"
images images import "$1" >/dev/null
