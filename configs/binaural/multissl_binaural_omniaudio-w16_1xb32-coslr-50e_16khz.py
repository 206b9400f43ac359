# Copyright (c) mmmultissl contributors. All rights reserved.
# For one small machine: 16 kHz, 64 mel bands (a quarter of the numbers), a
# quarter of the channels, frames of 64 x 128 in which the companion keeps
# cells of 45 degrees, and gaps of up to 3 clips, for recordings of 8 s or
# more. Simulated scenes by default:
#   python tools/simulate_scenes.py work_dirs/scenes
# and others by export BINAURAL_ROOT=DIR.
# Our choices throughout.
_base_ = './multissl_binaural_omniaudio_8xb32-coslr-100e_48khz.py'

scenes = dict(
    data_root='{{$BINAURAL_ROOT:work_dirs/scenes}}',
    sample_rate=16000,
    max_gap=3,
    frame_size=(64, 128))
train_dataloader = dict(num_workers=2, pin_memory=False, dataset=scenes)
test_dataloader = dict(dataset=scenes)

# A band is 1 / 31 of its bins' mean power (Slaney), so its floor is as much
# lower. Noise and hidden bands: few sounds and directions are soon learnt by
# heart.
data_preprocessor = dict(
    spectrogram=dict(mode='mel', sample_rate=16000, floor=3e-7),
    augments=[
        dict(type='mmmultissl.LeftRightSwap'),
        dict(type='mmmultissl.SharedGain'),
        dict(type='mmmultissl.AddNoise'),
        dict(
            type='mmmultissl.SpecAugment',
            freq_masks=2,
            freq_width=12,
            time_masks=0)
    ])

visual = dict(in_channels=128, grid=(4, 8))
small = dict(audio_channels=64, hidden_channels=256)
model = dict(
    backbone=dict(base_channels=16),
    companions=dict(
        visual=dict(
            stem_channels=16,
            base_channels=16,
            strides=(1, 2, 2, 1),
            norm_cfg=dict(num_groups=8))),
    tasks=dict(
        spatial=dict(visual=visual, **small),
        foreground=dict(visual=visual, **small),
        gap=dict(max_gap=3, **small)))

optim_wrapper = dict(optimizer=dict(lr=1e-3))
auto_scale_lr = dict(base_batch_size=32)
train_cfg = dict(max_epochs=50)
default_hooks = dict(checkpoint=dict(interval=500))
