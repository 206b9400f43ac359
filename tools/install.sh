#!/usr/bin/env bash
# Copyright (c) mmmultissl contributors. All rights reserved.
#
# Installs mmmultissl and all it needs into .venv of this checkout. What is
# there already is left alone; nothing outside .venv and the per-user cache of
# built mmcv wheels is touched. tools/quickstart.sh and tools/test.sh call it.
#
#   PYTHON=python3.12 tools/install.sh    choose the Python (3.10 to 3.12)
#   MAX_JOBS=4 tools/install.sh           choose the jobs of the mmcv build
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly VENV_PYTHON="$PWD/.venv/bin/python"
readonly STAMP=.venv/mmmultissl.stamp
readonly LOGS=.venv/install-logs
readonly CACHE="${XDG_CACHE_HOME:-$HOME/.cache}/mmmultissl/wheels"
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1

say() { echo "[install] $*"; }

die() {
    echo "[install] $*" >&2
    exit 1
}

suits() { # whether a command is a Python that serves
    "$1" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 13))' \
        >/dev/null 2>&1
}

version_of() {
    "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])'
}

pick_python() { # prints the Python that makes .venv
    local candidate
    if [[ -n "${PYTHON:-}" ]]; then
        suits "$PYTHON" ||
            die "PYTHON=$PYTHON is not a Python 3.10, 3.11 or 3.12 that runs."
        echo "$PYTHON"
        return
    fi
    for candidate in python3.12 python3.11 python3.10 python3 python; do
        if suits "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    die "No Python 3.10, 3.11 or 3.12 is on PATH: install one, or name it" \
        "with PYTHON=/path/to/python."
}

make_venv() {
    local python
    if "$VENV_PYTHON" -m pip --version >/dev/null 2>&1; then
        suits "$VENV_PYTHON" ||
            die ".venv holds a Python that is not 3.10, 3.11 or 3.12: remove" \
                ".venv and run this again."
        if [[ -n "${PYTHON:-}" ]]; then
            suits "$PYTHON" ||
                die "PYTHON=$PYTHON is not a Python 3.10, 3.11 or 3.12 that" \
                    "runs."
            [[ "$(version_of "$PYTHON")" == "$(version_of "$VENV_PYTHON")" ]] ||
                die ".venv holds Python $(version_of "$VENV_PYTHON"), not" \
                    "that of PYTHON=$PYTHON: remove .venv and run this again."
        fi
        return
    fi
    python="$(pick_python)"
    "$python" -c 'import ensurepip, venv' >/dev/null 2>&1 ||
        die "Python $(version_of "$python") lacks its venv module: install" \
            "it (on Debian and Ubuntu the package" \
            "python$(version_of "$python")-venv) and run this again."
    say "Making .venv with $("$python" --version)"
    # A half-made .venv, as an interrupted run leaves it, is made anew.
    "$python" -m venv --clear .venv
}

stamp_key() { # changes with what is to be installed, and with the checkout
    "$VENV_PYTHON" -I - "$PWD" <<'EOF'
import hashlib, pathlib, platform, sys
root = pathlib.Path(sys.argv[1])
digest = hashlib.sha256(f'{root} {platform.python_version()}'.encode())
for file in [*sorted(root.glob('requirements/*.txt')), root / 'setup.py',
             root / 'pyproject.toml', root / 'tools/install.sh']:
    digest.update(file.read_bytes())
print(digest.hexdigest())
EOF
}

step() { # title, usual seconds, command ...
    local title="$1" usual="$2"
    shift 2
    mkdir -p "$LOGS"
    "$VENV_PYTHON" tools/show_progress.py "[install] $title" \
        --usual "$usual" --log "$LOGS/${title// /-}.log" -- "$@"
}

pins() { # the lines of mminstall.txt that match
    grep -E "^($1)==" requirements/mminstall.txt
}

require_compiler() {
    command -v "${CXX:-c++}" >/dev/null 2>&1 ||
        die "There is no C++ compiler (${CXX:-c++}), which building mmcv's" \
            "ops needs: install one (on Debian and Ubuntu the package g++)" \
            "and run this again."
    "$VENV_PYTHON" -c 'import os, sys, sysconfig
sys.exit(not os.path.isfile(sysconfig.get_path("include") + "/Python.h"))' ||
        die "Python.h is missing, which building mmcv's ops needs: install" \
            "Python's headers (on Debian and Ubuntu the package" \
            "python$(version_of "$VENV_PYTHON")-dev) and run this again."
}

jobs() { # one per core, and 2 GB of memory for each
    "$VENV_PYTHON" -c 'import os, psutil
cores = len(os.sched_getaffinity(0)) if hasattr(
    os, "sched_getaffinity") else os.cpu_count()
print(max(1, min(cores, psutil.virtual_memory().available // 2 ** 31)))'
}

mmcv_wheel() { # prints the cached wheel of a key, if there is one
    compgen -G "$CACHE/$1/*.whl" || true
}

build_mmcv() { # pin, key: builds the wheel into the cache
    local pin="$1" key="$2" cuda=0 usual=700 work
    [[ "$key" == *-cpu ]] || cuda=1 usual=1500
    require_compiler
    mkdir -p "$CACHE"
    work="$(mktemp -d "$CACHE/building.XXXXXX")"
    # shellcheck disable=SC2064  # the folder of now is meant
    trap "rm -rf '$work'" EXIT
    say "Building $pin with its compiled ops (about 11 minutes on 2 cores," \
        "this once: the wheel is kept in $CACHE/$key)"
    # CFLAGS takes the place of Python's own flags. Without -g0 the wheel is
    # twenty times as large.
    MAX_JOBS="${MAX_JOBS:-$(jobs)}" CFLAGS='-O2 -g0 -fPIC' \
        FORCE_CUDA="$cuda" MMCV_WITH_OPS=1 step 'Building mmcv' "$usual" \
        "$VENV_PYTHON" -m pip wheel -v --no-cache-dir --no-deps \
        --no-build-isolation -w "$work" "$pin"
    rm -rf "${CACHE:?}/$key"
    mv "$work" "$CACHE/$key"
    trap - EXIT
}

put_mmcv() { # key: installs the wheel of a key over whatever mmcv there is
    step 'Installing mmcv' 5 "$VENV_PYTHON" -m pip install \
        --force-reinstall --no-deps "$(mmcv_wheel "$1")"
    ops_run
}

ops_run() { "$VENV_PYTHON" -I tools/check_install.py --ops; }

install_all() {
    local key pin wheel
    pin="$(pins onedl-mmcv)"

    # A missing compiler is said now, not after a download of gigabytes.
    compgen -G "$CACHE/*/*.whl" >/dev/null || require_compiler

    step 'Installing build tools' 5 \
        "$VENV_PYTHON" -m pip install -r requirements/build.txt
    # shellcheck disable=SC2046  # one word a pin
    step 'Installing torch' 90 "$VENV_PYTHON" -m pip install \
        $(pins 'torch|torchvision|torchaudio') -r requirements/build.txt

    key="${pin#onedl-}"
    key="${key/==/}-$("$VENV_PYTHON" tools/check_install.py --mmcv-key)"
    if "$VENV_PYTHON" -c 'import mmcv._ext' >/dev/null 2>&1; then
        say 'mmcv has its compiled ops already'
    elif [[ -n "$(mmcv_wheel "$key")" ]]; then
        say "Taking the mmcv wheel that was built before, of $CACHE/$key"
    else
        build_mmcv "$pin" "$key"
    fi
    # One run of the resolver for all, with the pins repeated, so that nothing
    # moves what is there.
    wheel="$(mmcv_wheel "$key")"
    step 'Installing packages' 45 \
        "$VENV_PYTHON" -m pip install ${wheel:+"$wheel"} \
        -r requirements/build.txt -r requirements/mminstall.txt \
        -r requirements/runtime.txt -r requirements/tests.txt

    # An mmcv of the same version but without ops, or with ops of another
    # torch, is not replaced by the resolver. A wheel in the cache that does
    # not work is of another machine.
    if ! ops_run && ! { [[ -n "$(mmcv_wheel "$key")" ]] && put_mmcv "$key"; }
    then
        build_mmcv "$pin" "$key"
        put_mmcv "$key"
    fi
    step 'Installing mmmultissl' 5 "$VENV_PYTHON" -m pip install \
        --no-deps --no-build-isolation -e .
    step 'Checking requirements' 3 "$VENV_PYTHON" -m pip check ||
        say 'The packages above do not fit together, but what mmmultissl' \
            'needs is there'
}

is_installed() { # quick: the stamp, and then the real thing
    [[ -f "$STAMP" && "$(cat "$STAMP")" == "$(stamp_key)" ]] &&
        "$VENV_PYTHON" -I tools/check_install.py
}

main() {
    local started=$SECONDS
    # Two of these at a time would spoil each other's work.
    if command -v flock >/dev/null 2>&1; then
        exec 9>.venv.lock
        flock -n 9 || {
            say "Waiting for another installation into .venv to end"
            flock 9
        }
    fi
    make_venv
    if is_installed; then
        exec 9>&-
        return
    fi
    say "Installing what is missing into .venv: about 2 minutes and 5 GB, and" \
        "about 11 minutes more if mmcv's ops are to be compiled; longer on a" \
        "busy machine"
    PATH="$PWD/.venv/bin:$PATH" install_all
    "$VENV_PYTHON" -I tools/check_install.py
    stamp_key >"$STAMP"
    say "Done in $((SECONDS - started)) s"
    exec 9>&-
}

# Tests source this file for its functions.
if [[ "${BASH_SOURCE[0]}" == "$0" ]]; then
    main
fi
