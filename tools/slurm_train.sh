#!/usr/bin/env bash
# Train on a Slurm cluster.
#   [GPUS=8 GPUS_PER_NODE=8 CPUS_PER_TASK=5 SRUN_ARGS=...] \
#   tools/slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [arguments of tools/train.py]
set -euo pipefail
if [ $# -lt 4 ]; then
    echo "Usage: tools/slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [arguments of tools/train.py]" >&2
    exit 2
fi
here=$(cd "$(dirname "$0")" && pwd)
# An installed mmmultissl is the one that is meant; a bare checkout serves too.
(cd / && python -c 'import sys, importlib.util as u
sys.exit(u.find_spec("mmmultissl") is None)') ||
    export PYTHONPATH="$here/..${PYTHONPATH:+:$PYTHONPATH}"
# SRUN_ARGS holds several arguments on purpose.
# shellcheck disable=SC2086
exec srun \
    --partition "$1" \
    --job-name "$2" \
    --gres "gpu:${GPUS_PER_NODE:-8}" \
    --ntasks "${GPUS:-8}" \
    --ntasks-per-node "${GPUS_PER_NODE:-8}" \
    --cpus-per-task "${CPUS_PER_TASK:-5}" \
    --kill-on-bad-exit 1 \
    ${SRUN_ARGS:-} \
    python -u "$here/train.py" "$3" --work-dir "$4" --launcher slurm "${@:5}"
