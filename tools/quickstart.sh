#!/usr/bin/env bash
# Copyright (c) mmmultissl contributors. All rights reserved.
#
# Installs what is missing into .venv, then runs the whole chain at a small
# size on generated images: pretraining with MoCo v2, with DenseCL and with
# both together; the evaluation of each and of random weights; detection from
# random weights and from both; and a report in one HTML file. No GPU is
# needed; one is used when there.
#
#   tools/quickstart.sh            go on where it stopped; done steps stay
#   tools/quickstart.sh --fresh    remove work_dirs/quickstart and begin anew
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

for argument in "$@"; do
    case "$argument" in
    --fresh) ;;
    -h | --help)
        sed -n '4,11s/^# \{0,1\}//p' tools/quickstart.sh
        exit
        ;;
    *)
        echo "tools/quickstart.sh knows --fresh and --help, not $argument" >&2
        exit 2
        ;;
    esac
done

bash tools/install.sh
exec .venv/bin/python tools/quickstart.py "$@"
