#!/bin/sh
# Install the Primus Lens exporter for wandb into the Python of a training image.
#
#   curl -fsSL <this file> | sh
#   sh install.sh [--version 0.1.0] [--python python3] [--user] [--wheel FILE] [--dry-run] [--uninstall]
#
# Installs exactly one version, again and again with the same result; needs no sudo and asks for
# none: where site-packages cannot be written it says so. --wheel installs a file you have.
set -eu

PACKAGE=primus-lens-wandb-exporter
VERSION=0.1.0
PYTHON=${PYTHON:-python3}
SOURCE=
WHERE=
DRY=
ACTION=install

say() { printf '%s\n' "$*"; }
fail() { printf 'install.sh: %s\n' "$*" >&2; exit 1; }
run() {
    if [ -n "$DRY" ]; then say "would run: $*"; else "$@"; fi
}

# Read whole before anything runs: a download cut short must do nothing.
main() {
    while [ $# -gt 0 ]; do
        case $1 in
            --version) [ $# -gt 1 ] || fail "--version needs a version"; VERSION=$2; shift ;;
            --python) [ $# -gt 1 ] || fail "--python needs a program"; PYTHON=$2; shift ;;
            --wheel) [ $# -gt 1 ] || fail "--wheel needs a file"; SOURCE=$2; shift ;;
            --user) WHERE=--user ;;
            --dry-run) DRY=yes ;;
            --uninstall) ACTION=uninstall ;;
            -h|--help) say "sh install.sh [--version V] [--python P] [--user] [--wheel FILE] [--dry-run] [--uninstall]"; exit 0 ;;
            *) fail "unknown option $1; --help lists them" ;;
        esac
        shift
    done
    command -v "$PYTHON" >/dev/null 2>&1 || fail "$PYTHON is not there; name another with --python"
    "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 9))' || fail "Python 3.9 or newer is needed"
    "$PYTHON" -m pip --version >/dev/null 2>&1 || fail "$PYTHON has no pip"
    if [ "$ACTION" = uninstall ]; then
        run "$PYTHON" -m pip uninstall --yes --quiet "$PACKAGE"
        [ -n "$DRY" ] || say "$PACKAGE is uninstalled"
        return
    fi
    [ -z "$SOURCE" ] || [ -f "$SOURCE" ] || fail "$SOURCE is not there"
    # shellcheck disable=SC2086 # WHERE is empty or one word
    run "$PYTHON" -m pip install --quiet --no-deps --disable-pip-version-check $WHERE "${SOURCE:-$PACKAGE==$VERSION}"
    [ -z "$DRY" ] || return 0
    "$PYTHON" -c 'import sys; sys.exit(getattr(sys, "_primus_lens", None) is None)' ||
        fail "installed, but the .pth line does not run in $PYTHON (is site-packages on its path?)"
    say "$PACKAGE $("$PYTHON" -c 'import primus_lens_wandb_exporter as p; print(p.__version__)') is active in $("$PYTHON" -c 'import sys; print(sys.executable)')"
    say "check it with: $PYTHON -m primus_lens_wandb_exporter doctor"
}

main "$@"
