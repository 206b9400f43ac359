#!/usr/bin/env bash
# Copyright (c) mmmultissl contributors. All rights reserved.
#
# Installs what is missing into .venv, then runs the whole chain at a small
# size on generated images: pretraining with MoCo v2 and DenseCL on one
# ResNet-18, the VOC07 SVM of the checkpoint, and fine-tuning Faster R-CNN
# from the same checkpoint. No GPU is needed; one is used when there.
#
#   tools/quickstart.sh            go on where it stopped; done steps stay
#   tools/quickstart.sh --fresh    remove work_dirs/quickstart and begin anew
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly OUT=work_dirs/quickstart
readonly CONFIG=configs/demo/multissl_densecl_r18_demo.py
readonly DETECTOR=configs/detection/faster-rcnn_r18_fpn_2k_voc07-160px.py

for argument in "$@"; do
    case "$argument" in
    --fresh) rm -rf "$OUT" ;;
    -h | --help)
        sed -n '4,10s/^# \{0,1\}//p' tools/quickstart.sh
        exit
        ;;
    *)
        echo "tools/quickstart.sh knows --fresh and --help, not $argument" >&2
        exit 2
        ;;
    esac
done

chain='' # the commands so far: a step depends on those before it
number=0

step() { # name, title, usual seconds, command ...
    local name="$1" usual="$3" title="[$((++number))/5] $2"
    shift 3
    chain+="$* ; "
    if [[ -f "$OUT/$name.done" && "$(cat "$OUT/$name.done")" == "$chain" ]]
    then
        echo "$title: done before"
        return
    fi
    # What an interrupted run of the same step left is continued; what another
    # command left is in the way.
    if [[ "$(cat "$OUT/$name.started" 2>/dev/null)" != "$chain" ]]; then
        rm -rf "${OUT:?}/$name" "$OUT/$name.done"
        mkdir -p "$OUT"
        echo "$chain" >"$OUT/$name.started"
    fi
    "$python" tools/show_progress.py "$title" --usual "$usual" \
        --log "$OUT/$name.log" -- "$@"
    mv "$OUT/$name.started" "$OUT/$name.done"
}

bash tools/install.sh
readonly python=.venv/bin/python
echo "[quickstart] Five steps on generated images, 10 to 25 minutes on 2" \
    "cores without a GPU; outputs and logs go to $OUT"

step data 'Generating 600 images' 25 \
    "$python" tools/make_demo_images.py "$OUT/data"
# mmdet wants the folder's name to say which VOC it is.
mkdir -p "$OUT/VOCdevkit"
ln -sfn ../data "$OUT/VOCdevkit/VOC2007"
export VOC_ROOT="$OUT/VOCdevkit"

step pretrain 'Pretraining, MoCo v2 and DenseCL' 240 \
    "$python" tools/train.py "$CONFIG" --work-dir "$OUT/pretrain" --resume
checkpoint="$(cat "$OUT/pretrain/last_checkpoint")"

step svm 'VOC07 SVM of the checkpoint' 40 \
    "$python" tools/voc07_svm.py "$CONFIG" "$checkpoint" \
    --data-root "$OUT/data" --size 96 --num-workers 2 \
    --work-dir "$OUT/svm" --out "$OUT/svm/voc07_svm.json"
step svm_random 'VOC07 SVM of random weights' 40 \
    "$python" tools/voc07_svm.py "$CONFIG" random \
    --data-root "$OUT/data" --size 96 --num-workers 2 \
    --work-dir "$OUT/svm_random" --out "$OUT/svm_random/voc07_svm.json"

# One process needs no SyncBN, which exists on GPUs only. Most of the time
# goes into the regions' head, so few regions are taken.
step detect 'Fine-tuning Faster R-CNN' 180 \
    "$python" tools/train.py "$DETECTOR" --work-dir "$OUT/detect" --resume \
    --cfg-options "model.backbone.init_cfg.checkpoint=$checkpoint" \
    model.backbone.norm_cfg.type=BN model.neck.norm_cfg.type=BN \
    train_cfg.max_iters=100 train_cfg.val_interval=100 \
    train_dataloader.batch_size=4 \
    model.train_cfg.rcnn.sampler.num=64 \
    model.train_cfg.rpn_proposal.nms_pre=500 \
    model.train_cfg.rpn_proposal.max_per_img=200 \
    model.test_cfg.rpn.nms_pre=200 model.test_cfg.rpn.max_per_img=50 \
    default_hooks.logger.interval=5 default_hooks.checkpoint.interval=20 \
    train_dataloader.num_workers=2 val_dataloader.num_workers=2

"$python" - "$OUT" "$checkpoint" <<'EOF'
import json
import pathlib
import sys

out, checkpoint = pathlib.Path(sys.argv[1]), sys.argv[2]


def svm(name):
    return json.loads((out / name / 'voc07_svm.json').read_text())['mAP']


scalars = sorted(out.glob('detect/*/vis_data/scalars.json'))
lines = [json.loads(line) for file in scalars
         for line in file.read_text().splitlines()]
detection = [line for line in lines if 'pascal_voc/mAP' in line][-1]
print(f'''
The whole chain ran. The numbers only show that it works: 120 steps on 400
generated images are too few to beat random weights, whose features suit drawn
textures (on real photographs 768 steps beat them clearly, see benchmarks.md).
  VOC07 SVM, mAP      {svm('svm'):.2f} pretrained, {svm('svm_random'):.2f} random weights
  Faster R-CNN, AP50  {100 * detection['pascal_voc/mAP']:.2f} after 100 iterations from the checkpoint
  checkpoint          {checkpoint}
  logs                {out}/*.log
Next, on your own images (any folder):
  . .venv/bin/activate
  python tools/train.py configs/multissl/multissl_moco-densecl_resnet18_1xb64-coslr-100e_folder-96px.py \\
      --cfg-options train_dataloader.dataset.data_root=/path/to/images
The README tells the rest: ImageNet, VOC07, COCO, several GPUs.''')
EOF
