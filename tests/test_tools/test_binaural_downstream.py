# Copyright (c) mmmultissl contributors. All rights reserved.
"""Downstream configs through tools/train.py and test.py, and the SVM tool."""
import importlib.util
import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from mmmultissl.datasets import BinauralWriter
from mmmultissl.evaluation.binaural.command import main as binaural_svm
from mmmultissl.registry import MODELS

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / 'configs/binaural/downstream'
RATE, CLASSES, FOLDS = 16000, 10, 4
SMALL = dict(type='mmmultissl.OmniAudioNet', base_channels=16)


def load_tool(name, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / 'tools'))
    spec = importlib.util.spec_from_file_location(
        f'tool_{name}', ROOT / 'tools' / f'{name}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    """Tones of ten heights, from the left or the right, in four folds."""
    root = tmp_path_factory.mktemp('data') / 'tones'
    rng = np.random.RandomState(0)
    names = tuple(f'tone{c}' for c in range(CLASSES))
    folds = {}
    with BinauralWriter(root, RATE, classes=names) as writer:
        for number in range(2 * CLASSES * FOLDS):
            label, fold = number % CLASSES, number // CLASSES % FOLDS
            name = f's{number}'
            folds[name] = fold + 1
            time = np.arange(3 * RATE) / RATE
            tone = np.sin(2 * np.pi * 200 * 1.4**label * time)
            left = number % 3 == 0
            ears = np.array([1., 0.3] if left else [0.3, 1.])
            sound = 0.3 * tone[:, None] * ears + 0.01 * rng.randn(3 * RATE, 2)
            writer.add_recording(
                name, (sound * 2**15).astype(np.int16), [{
                    'start': start * RATE,
                    'split': ('train', 'train', 'val', 'test')[fold],
                    'class': (names[label], ),
                    'azimuth': (90. if left else -90., ),
                } for start in (0, 1)])
    info = json.loads((root / 'dataset.json').read_text())
    (root / 'dataset.json').write_text(json.dumps(dict(info, folds=folds)))
    return root


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    """A backbone as pretraining leaves it."""
    torch.manual_seed(3)
    backbone = MODELS.build(dict(SMALL))
    backbone.init_weights()
    path = tmp_path_factory.mktemp('pretrained') / 'iter_1.pth'
    weights = {
        f'backbone.{key}': value
        for key, value in backbone.state_dict().items()
    }
    torch.save(dict(state_dict=weights), path)
    return path


def options(*more):
    return [
        '--cfg-options', *(f'{split}_dataloader.num_workers=0'
                           for split in ('train', 'val', 'test')),
        'train_dataloader.batch_size=16', 'train_cfg.max_epochs=10',
        'optim_wrapper.optimizer.lr=0.02', 'randomness.seed=0', *more
    ]


def figures(work_dir):
    file = max(work_dir.glob('*/vis_data/scalars.json'))
    return json.loads(file.read_text().splitlines()[-1])


@pytest.mark.parametrize('task, name, low, high', [
    ('azimuth', 'azimuth/error', 0, 45), ('esc10', 'recordings/top1', 40, 100)
])
def test_train_and_test(task, name, low, high, data, checkpoint, tmp_path,
                        monkeypatch):
    monkeypatch.setenv('BINAURAL_ROOT', str(data))
    monkeypatch.setenv('ESC10_ROOT', str(data))
    config = str(CONFIGS / f'{task}_omniaudio_16khz.py')
    arguments = [config, '--work-dir', str(tmp_path)]
    train = load_tool('train', monkeypatch)
    monkeypatch.setattr(sys, 'argv', ['train.py'])
    train(arguments + options(f'checkpoint={checkpoint}'))
    found = figures(tmp_path)
    # Guessing gives 90 degrees and 10 %.
    assert low <= found[name] <= high
    # What is frozen is in the checkpoint as it was in that of pretraining.
    last = (tmp_path / 'last_checkpoint').read_text().strip()
    saved = torch.load(last)
    before = torch.load(checkpoint)['state_dict']
    for key, value in before.items():
        assert torch.equal(saved['state_dict'][key], value)
    test = load_tool('test', monkeypatch)
    json_file = tmp_path / 'figures.json'
    test([
        config, last, '--work-dir',
        str(tmp_path / 'test'), '--out',
        str(json_file), '--out-item', 'metrics', '--cfg-options',
        'test_dataloader.num_workers=0'
    ])
    tested = json.loads(json_file.read_text())
    assert math.isfinite(tested[name]) and set(tested) <= set(found)


def test_training_wants_a_checkpoint(data, tmp_path, monkeypatch):
    monkeypatch.setenv('BINAURAL_ROOT', str(data))
    arguments = [
        str(CONFIGS / 'azimuth_omniaudio_16khz.py'), '--work-dir',
        str(tmp_path)
    ]
    with pytest.raises(ValueError, match='checkpoint=path/to/file.pth'):
        load_tool('train', monkeypatch)(arguments + options())


def svm(data, checkpoint, out, *more):
    return binaural_svm([
        str(CONFIGS / 'esc10_omniaudio_16khz.py'),
        str(checkpoint), '--data-root',
        str(data), '--num-workers', '0', '--out',
        str(out), *more
    ])


def test_svm_of_a_checkpoint_and_of_random_weights(data, checkpoint, tmp_path,
                                                   capsys):
    found = svm(data, checkpoint, tmp_path / 'a.json')
    assert json.loads((tmp_path / 'a.json').read_text()) == found
    told = capsys.readouterr().out
    assert 'every choice of this run' in told and '4 folds' in told
    assert f'mean {found["accuracy"]:.2f} %' in told
    assert [each['recordings'] for each in found['folds']] == [20] * 4
    assert found['most_frequent_class'] == 10
    # Tones are told apart even by random weights.
    assert found['accuracy'] > 60
    drawn = [
        svm(data, 'random', tmp_path / 'b.json', '--costs', '10', '--seed',
            seed) for seed in '330'
    ]
    assert drawn[0]['accuracy'] == drawn[1]['accuracy']
    assert drawn[0]['confusion'] == drawn[1]['confusion']
    assert {each['cost'] for each in drawn[2]['folds']} == {10.}


def test_svm_says_what_is_missing(data, checkpoint, tmp_path):
    with pytest.raises(FileNotFoundError, match='There is no checkpoint'):
        svm(data, tmp_path / 'none.pth', tmp_path / 'a.json')
    with pytest.raises(RuntimeError, match='does not fit the backbone'):
        svm(data, checkpoint, tmp_path / 'a.json', '--prefix', 'encoder.')
    info = json.loads((data / 'dataset.json').read_text())
    folds = info.pop('folds')
    try:
        (data / 'dataset.json').write_text(json.dumps(info))
        with pytest.raises(ValueError, match='has no folds'):
            svm(data, checkpoint, tmp_path / 'a.json')
    finally:
        (data / 'dataset.json').write_text(
            json.dumps(dict(info, folds=folds)))
