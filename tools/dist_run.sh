#!/usr/bin/env bash
# What dist_train.sh and dist_test.sh share: torchrun with their environment.
#   tools/dist_run.sh TOOL PROCESSES [arguments of the tool]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
tool=$1 processes=$2
shift 2
# The project's own environment serves when none is active.
python=${PYTHON:-$([ -x "$here/../.venv/bin/python" ] && [ -z "${VIRTUAL_ENV:-}${CONDA_PREFIX:-}" ] \
    && echo "$here/../.venv/bin/python" || echo python)}
# What is missing is said before torchrun fails for want of it.
"$python" -c 'import sys, importlib.util as u
sys.exit(u.find_spec("torch") is None)' || exec "$python" "$here/doctor.py" --quick
# An installed mmmultissl is the one that is meant; a bare checkout serves too.
(cd / && "$python" -c 'import sys, importlib.util as u
sys.exit(u.find_spec("mmmultissl") is None)') ||
    export PYTHONPATH="$here/..${PYTHONPATH:+:$PYTHONPATH}"
exec "$python" -m torch.distributed.run \
    --nnodes "${NNODES:-1}" \
    --node_rank "${NODE_RANK:-0}" \
    --master_addr "${MASTER_ADDR:-127.0.0.1}" \
    --master_port "${PORT:-29500}" \
    --nproc_per_node "$processes" \
    "$here/$tool" "$@" --launcher pytorch
