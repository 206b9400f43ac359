# Copyright (c) mmmultissl contributors. All rights reserved.
# The binaural half of tools/quickstart.sh: minutes on one core, on simulated
# scenes of one source each. Half the channels of the config for one small
# machine, and fewer, longer columns in the spectrograms. All settings are our
# choice.
_base_ = '../binaural/multissl_binaural_omniaudio-w16_1xb32-coslr-50e_16khz.py'

scenes = dict(data_root='work_dirs/quickstart/scenes')
train_dataloader = dict(num_workers=1, dataset=scenes)
test_dataloader = dict(num_workers=0, dataset=scenes)

# A short run has no time to learn anything by heart.
data_preprocessor = dict(
    spectrogram=dict(hop_length=256, win_length=512),
    augments=[
        dict(type='mmmultissl.LeftRightSwap'),
        dict(type='mmmultissl.SharedGain')
    ])
small = dict(audio_channels=32)
model = dict(
    backbone=dict(base_channels=8),
    tasks=dict(spatial=small, foreground=small, gap=small))

optim_wrapper = dict(optimizer=dict(lr=2e-3))
train_cfg = dict(max_epochs=None, max_iters=300)
default_hooks = dict(
    logger=dict(interval=10), checkpoint=dict(interval=50))
randomness = dict(seed=0)
