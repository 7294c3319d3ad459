#!/bin/sh
# Installs the Primus Lens exporter for Weights & Biases into the Python that is active here.
# Nothing but that Python's site-packages is touched; no root rights are asked for.

set -eu

PACKAGE=primus-lens-wandb-exporter
VERSION=0.1.0

usage() {
    cat <<'EOF'
sh install.sh [--dry-run] [--from PATH] [--version V] [--python PATH] [--user] [--uninstall] [--help]

  --dry-run      say what would be done and change nothing
  --from PATH    install this wheel, or the only wheel in this folder, instead of the published one
                 (--wheel PATH is the same)
  --version V    install this published version instead of the one pinned here
  --python PATH  the interpreter to install for; otherwise that of the active virtual environment,
                 then of the active conda environment, then python3, then python
  --user         install for this user, where that Python's own site-packages cannot be written
  --uninstall    remove the exporter again

Piped into a shell: cat install.sh | sh -s -- --dry-run
EOF
}

say() {
    printf '%s\n' "$*"
}

fail() {
    printf '%s\n' "install.sh: $*" >&2
    exit 1
}

# Runs a command, or only says which.
act() {
    if [ "$dry_run" = yes ]; then
        say "would run: $*"
    else
        "$@" || fail "this failed: $*"
    fi
}

find_python() {
    if [ -n "$python" ]; then
        command -v "$python" >/dev/null 2>&1 || fail "$python is not there; name another with --python"
    elif [ -n "${VIRTUAL_ENV:-}" ] && [ -x "$VIRTUAL_ENV/bin/python" ]; then
        python=$VIRTUAL_ENV/bin/python
    elif [ -n "${CONDA_PREFIX:-}" ] && [ -x "$CONDA_PREFIX/bin/python" ]; then
        python=$CONDA_PREFIX/bin/python
    elif command -v python3 >/dev/null 2>&1; then
        python=$(command -v python3)
    elif command -v python >/dev/null 2>&1; then
        python=$(command -v python)
    else
        fail "no Python is found; activate an environment or give --python PATH"
    fi
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 9))' ||
        fail "$python is older than Python 3.9"
}

# Sets pip to how packages are installed for $python: its own pip, or uv for one without.
find_pip() {
    if "$python" -m pip --version >/dev/null 2>&1; then
        pip=pip
    elif command -v uv >/dev/null 2>&1; then
        pip=uv
    else
        fail "$python has no pip (try: $python -m ensurepip), and uv is not installed"
    fi
}

# Prints the installed version, or nothing. From /, so that no local folder plays a part.
installed() {
    (cd / && "$python" -c '
import importlib.metadata, sys
try:
    print(importlib.metadata.version(sys.argv[1]))
except importlib.metadata.PackageNotFoundError:
    pass' "$PACKAGE")
}

# Whether a Python started now watches for wandb.
is_active() {
    (cd / && "$python" -c '
import sys
sys.exit(getattr(sys, "_primus_lens", None) not in sys.meta_path)')
}

# Sets source to what is to be installed.
find_source() {
    source=$PACKAGE==$VERSION
    if [ -z "$from" ]; then
        return
    fi
    if [ -d "$from" ]; then
        set -- "$from"/primus_lens_wandb_exporter-*.whl
        [ $# -eq 1 ] || fail "$from holds $# wheels of $PACKAGE; name one of them"
        from=$1
    fi
    [ -f "$from" ] || fail "$from is not there"
    source=$from
}

install_exporter() {
    find_source
    before=$(installed)
    again=no
    if [ -n "$from" ] || [ "$before" = "$VERSION" ]; then
        again=yes # the same version may be another build, or a damaged one
    fi
    if [ -z "$from" ] && [ "$before" = "$VERSION" ] && is_active; then
        say "$PACKAGE $VERSION is installed already and active in $python"
        return
    fi
    case $pip,$again in
        uv,yes) act uv pip install --quiet --python "$python" --no-deps --reinstall "$source" ;;
        uv,no) act uv pip install --quiet --python "$python" --no-deps "$source" ;;
        *)
            set -- --quiet --disable-pip-version-check --no-input --no-deps
            [ "$user" = no ] || set -- "$@" --user
            [ "$again" = no ] || set -- "$@" --force-reinstall
            act "$python" -m pip install "$@" "$source"
            ;;
    esac
    [ "$dry_run" = no ] || return 0
    is_active || fail "installed, but a new $python does not watch for wandb; was another one meant?"
    say "$PACKAGE $(installed) is installed and is active in $python"
    case $(printf '%s' "${PRIMUS_LENS_WANDB_HOOK:-}" | tr '[:upper:]' '[:lower:]') in
        false | 0 | no | off)
            say "but PRIMUS_LENS_WANDB_HOOK=$PRIMUS_LENS_WANDB_HOOK is set: jobs with it report nothing"
            ;;
    esac
    say "check a job's surroundings with: $python -m primus_lens_wandb_exporter doctor"
}

uninstall_exporter() {
    if [ -z "$(installed)" ]; then
        say "$PACKAGE is not installed in $python; nothing to remove"
        return
    fi
    case $pip in
        uv) act uv pip uninstall --quiet --python "$python" "$PACKAGE" ;;
        *) act "$python" -m pip uninstall --yes --quiet --disable-pip-version-check "$PACKAGE" ;;
    esac
    [ "$dry_run" = no ] || return 0
    ! is_active || fail "removed, but a new $python still watches for wandb: another copy is on its path"
    say "$PACKAGE is uninstalled"
}

main() {
    dry_run=no user=no action=install_exporter from='' python=''
    while [ $# -gt 0 ]; do
        case $1 in
            --version) [ $# -gt 1 ] || fail "--version needs a version" ;;
            --from | --wheel | --python) [ $# -gt 1 ] || fail "$1 needs a path" ;;
        esac
        case $1 in
            --dry-run) dry_run=yes ;;
            --user) user=yes ;;
            --uninstall) action=uninstall_exporter ;;
            --from | --wheel) from=$2 && shift ;;
            --python) python=$2 && shift ;;
            --version) VERSION=$2 && shift ;;
            --help | -h) usage && return ;;
            *) fail "unknown option $1; --help lists them" ;;
        esac
        shift
    done
    find_python
    find_pip
    "$action"
}

# Last, so that a download cut short runs nothing.
main "$@"
