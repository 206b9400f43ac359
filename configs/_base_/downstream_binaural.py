# Copyright (c) mmmultissl contributors. All rights reserved.
# A downstream task on a frozen OmniAudio encoder, that of
# configs/binaural/*_omniaudio-w16_*_16khz.py, for one small machine:
#   python tools/train.py configs/binaural/downstream/NAME.py \
#       --cfg-options checkpoint=CHECKPOINT
# Without pretraining: model.backbone.init_cfg=None in place of checkpoint.
# BINAURAL_ROOT is the folder of the clips. A task adds the head, its views,
# val_evaluator and test_evaluator. Schedule and learning rate are our choice.
_base_ = [
    './datasets/binaural_clips.py', './schedules/adam_coslr_100e.py',
    './default_runtime.py'
]

checkpoint = None  # path of the pretraining run's checkpoint
model = dict(
    type='mmmultissl.BinauralDownstream',
    backbone=dict(
        type='mmmultissl.OmniAudioNet',
        in_microphones=2,
        base_channels=16,
        init_cfg=dict(type='Pretrained', checkpoint=None, prefix='backbone.')),
    frozen=True,
    channels_last=True)

# Swaps and gains are for those who want them.
data_preprocessor = dict(
    spectrogram=dict(mode='mel', sample_rate=16000, floor=3e-7),
    augments=[])
clips = dict(
    data_root='{{$BINAURAL_ROOT:work_dirs/scenes}}',
    sample_rate=16000,
    frame_size=(64, 128),
    views=('clip', ))
train_dataloader = dict(
    num_workers=2, pin_memory=False, drop_last=True, dataset=clips)
val_dataloader = dict(
    batch_size=64,
    num_workers=2,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='pseudo_collate'),
    dataset=dict(
        type='mmmultissl.BinauralClips', split='val', test_mode=True, **clips))
test_dataloader = dict(
    val_dataloader, dataset=dict(val_dataloader['dataset'], split='test'))
val_cfg = dict()
test_cfg = dict()

optim_wrapper = dict(optimizer=dict(lr=3e-3))
auto_scale_lr = dict(base_batch_size=32)
train_cfg = dict(max_epochs=30)
default_hooks = dict(logger=dict(interval=20))
