# Copyright (c) mmmultissl contributors. All rights reserved.
# What encoders of binaural sound are judged by, without the configs of the
# downstream tasks, which a comparison names.
evaluations = dict(
    # Each task by the heads that it was trained with, on the last trunk.
    pretext=dict(
        kind='pretext',
        dev=dict(args=['--cfg-options', 'test_dataloader.dataset.split=val']),
        metrics={
            f'{task} accuracy, %': dict(
                key=f'{task}.accuracy', scale=100., gain=False)
            for task in ('spatial', 'foreground', 'gap')
        }),
    azimuth=dict(
        metrics={
            'azimuth error, degrees':
            dict(key='azimuth/error', higher_is_better=False)
        }),
    retrieval=dict(
        metrics={
            'retrieval R@1, %':
            dict(key='retrieval/recordings/sound-to-frame_R@1')
        }),
    s3r=dict(
        metrics={
            'S3R STFT distance':
            dict(key='s3r/stft', higher_is_better=False)
        }),
    semantic=dict(
        metrics={
            'semantic mIoU of objects, %':
            dict(key='semantic/foreground/mIoU')
        }))
