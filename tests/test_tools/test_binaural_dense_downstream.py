# Copyright (c) mmmultissl contributors. All rights reserved.
"""Retrieval, S3R and semantic configs through tools/train.py and test.py."""
import json
import math
import sys

import cv2
import numpy as np
import pytest

from mmmultissl.datasets import BinauralWriter

from .test_binaural_downstream import (CONFIGS, RATE, checkpoint, figures,
                                       load_tool, options)

__all__ = ['checkpoint']  # a fixture
HEADINGS = (0., 90., 180., -90.)


def png(picture):
    return cv2.imencode('.png', picture)[1].tobytes()


@pytest.fixture(scope='module')
def scenes(tmp_path_factory):
    """Noise of three kinds, louder on the nearer ear, and squares there."""
    root = tmp_path_factory.mktemp('data') / 'scenes'
    rng = np.random.RandomState(0)
    names = tuple(f'kind{c}' for c in range(6))
    with BinauralWriter(
            root, RATE, HEADINGS, panorama=True, classes=names) as writer:
        for number in range(30):
            kind, turn = number % 3, number % 4
            split = 'train' if number < 24 else ('val', 'test')[number > 26]
            samples, channels = 4 * RATE, []
            # Longer averages are duller.
            noise = np.convolve(
                rng.randn(samples), np.ones(8**kind) / 8**(kind / 2), 'same')
            for heading in range(4):
                angle = np.pi / 2 * (turn - heading)
                channels += [
                    noise * 10**(side * 0.4 * np.sin(angle))
                    for side in (1, -1)
                ]
            frame = np.zeros((64, 128, 3), np.uint8)
            labels = np.zeros((64, 128), np.uint8)
            column = int(128 * (0.5 - 90 * turn / 360)) % 128
            place = (slice(20, 44),
                     np.arange(column - 12, column + 12) % 128)
            frame[place] = 255 * np.eye(3, dtype=np.uint8)[kind]
            labels[place] = kind + 1
            frames, maps = f'frames/s{number}.png', f'labels/s{number}.png'
            writer.add_recording(
                f's{number}',
                (2000 * np.stack(channels, 1)).clip(-2**15, 2**15 - 1).astype(
                    np.int16), [
                        dict(
                            start=start * RATE,
                            split=split,
                            frame=frames,
                            labels=maps) for start in (0, 2)
                    ], {
                        frames: png(frame),
                        maps: png(labels)
                    })
    return root


@pytest.mark.slow
@pytest.mark.parametrize('task, better, than, epochs', [
    # Both clips of a recording have one frame, so a half is attainable.
    ('retrieval', 'retrieval/all/sound-to-frame_R@1',
     'retrieval/all/chance_R@1', 20),
    ('semantic', 'semantic/all/mIoU', 'semantic/all/constant_mIoU', 20),
    ('s3r', 's3r/copy_stft', 's3r/stft', 12),
])
def test_train_and_test(task, better, than, epochs, scenes, checkpoint,
                        tmp_path, monkeypatch):
    monkeypatch.setenv('BINAURAL_ROOT', str(scenes))
    config = str(CONFIGS / f'{task}_omniaudio_16khz.py')
    train = load_tool('train', monkeypatch)
    monkeypatch.setattr(sys, 'argv', ['train.py'])
    train([config, '--work-dir', str(tmp_path)] + options(
        f'checkpoint={checkpoint}', f'train_cfg.max_epochs={epochs}'))
    found = figures(tmp_path)
    assert found[better] > 1.2 * found[than]
    last = (tmp_path / 'last_checkpoint').read_text().strip()
    json_file = tmp_path / 'figures.json'
    load_tool('test', monkeypatch)([
        config, last, '--work-dir',
        str(tmp_path / 'test'), '--out',
        str(json_file), '--out-item', 'metrics', '--cfg-options',
        'test_dataloader.num_workers=0'
    ])
    tested = json.loads(json_file.read_text())
    assert math.isfinite(tested[better]) and set(tested) <= set(found)
