#!/bin/sh
# Makes sure there is a Chromium for tests/browser; the distribution's own, found by its name.
set -eu
if command -v chromium >/dev/null 2>&1; then exit 0; fi
if [ "$(id -u)" = 0 ]; then
  as_root=""
elif sudo -n true 2>/dev/null; then
  as_root="sudo -n"
else
  echo "The browser tests need Chromium and will be skipped. To install it: sudo apt-get install chromium" >&2
  exit 0
fi
if ! command -v apt-get >/dev/null 2>&1; then
  echo "The browser tests need a 'chromium' on the PATH and will be skipped." >&2
  exit 0
fi
echo "installing chromium for the browser tests ..."
$as_root apt-get update -qq
DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends chromium >/dev/null
