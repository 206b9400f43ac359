#!/usr/bin/env bash
# Copyright (c) mmmultissl contributors. All rights reserved.
#
# Installs what is missing into .venv, then runs the tests.
#
#   tools/test.sh                     the fast tests
#   tools/test.sh --all               the slow ones too
#   tools/test.sh tests/test_x.py -k name -x ...    anything pytest takes
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

which=(-m 'not slow')
said='the fast tests: under 15 minutes on 2 cores'
arguments=()
for argument in "$@"; do
    case "$argument" in
    --all)
        which=()
        said='all tests: under 45 minutes on 2 cores'
        ;;
    -h | --help)
        sed -n '4,8s/^# \{0,1\}//p' tools/test.sh
        exit
        ;;
    *) arguments+=("$argument") ;;
    esac
done

bash tools/install.sh
echo "[test] Running $said"
exec .venv/bin/python -m pytest \
    ${which[@]+"${which[@]}"} ${arguments[@]+"${arguments[@]}"}
