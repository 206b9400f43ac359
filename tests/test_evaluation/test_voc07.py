# Copyright (c) mmmultissl contributors. All rights reserved.
"""The commands and the test loop, end to end on a made VOC folder."""
import importlib.util
import io
import json
import runpy
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmpretrain.models import ResNet

from mmmultissl.evaluation.svm import MMSELFSUP_COSTS
from mmmultissl.evaluation.svm.report import Progress
from mmmultissl.evaluation.voc07 import make_protocol, use_preset
from mmmultissl.evaluation.voc07.command import evaluation_config

from .tiny_voc import make_tiny_voc

ROOT = Path(__file__).resolve().parents[2]
R18 = str(ROOT / 'configs/voc07/svm_resnet18_128px.py')

PRETRAINING = '''
default_scope = 'mmpretrain'
model = dict(
    type='MoCo',
    backbone=dict(type='ResNet', depth=18, base_channels=8,
                  stem_channels=8,
                  init_cfg=dict(type='Pretrained', checkpoint='gone.pth')),
    data_preprocessor=dict(type='SelfSupDataPreprocessor',
                           mean=[100, 101, 102], std=[50, 51, 52],
                           to_rgb=True))
'''


def _tool(name):
    spec = importlib.util.spec_from_file_location(
        f'tools_{name}', ROOT / 'tools' / f'{name}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def voc(tmp_path):
    return make_tiny_voc(tmp_path)


@pytest.fixture
def pretraining(tmp_path):
    path = tmp_path / 'pretraining.py'
    path.write_text(PRETRAINING)
    return str(path)


@pytest.fixture
def checkpoint(tmp_path):
    """A pretraining checkpoint: the backbone among tasks and averages."""
    torch.manual_seed(1)
    backbone = ResNet(18, base_channels=8, stem_channels=8)
    backbone.init_weights()
    state = {f'backbone.{k}': v for k, v in backbone.state_dict().items()}
    state['momentum.backbone.conv1.weight'] = torch.zeros(3)
    state['tasks.moco.queue'] = torch.zeros(4, 8)
    path = tmp_path / 'iter_10.pth'
    torch.save(dict(state_dict=state, meta=dict(iter=10)), path)
    return str(path)


@pytest.fixture
def command(voc, tmp_path, monkeypatch):

    def run(*args, data_root=voc, tool='voc07_svm'):
        monkeypatch.setattr(sys, 'argv', [
            f'{tool}.py', *map(str, args), '--data-root',
            str(data_root), '--work-dir',
            str(tmp_path / 'work'), '--device', 'cpu', '--num-workers', '0',
            '--size', '32'
        ])
        # As a program, whose folder comes first in the path.
        monkeypatch.syspath_prepend(str(ROOT / 'tools'))
        runpy.run_path(str(ROOT / f'tools/{tool}.py'), run_name='__main__')
        files = list((tmp_path / 'work').iterdir())
        assert files == [tmp_path / f'work/{tool}.json']
        return json.loads(files[0].read_text())

    return run


def test_command_on_a_pretraining_checkpoint(command, pretraining, checkpoint,
                                             capsys):
    result = command(pretraining, checkpoint)
    # Images that differ this plainly are told apart.
    assert result['mAP'] > 90
    svm = result['svm']
    assert result['mAP'] == svm['mAP']
    assert set(svm['classes']) == {'bright', 'striped'}
    assert svm['left_out'] == {'unseen': 'no positive test image'}
    assert result['feature_dim'] == 64 and result['stage'] == 'stage3'
    assert not {'low_shot', 'linear', 'knn'} & set(result)
    row = svm['classes']['bright']
    assert row['test_counts'] == dict(present=8, absent=7, difficult=1)
    assert row['cost'] in result['protocol']['svm']['costs']
    assert len(row['cv_ap_per_cost']) == 19
    assert result['protocol']['svm']['solver'] == 'batched'
    assert {'torch', 'mmpretrain', 'mmmultissl'} <= set(result['versions'])
    assert result['seconds']['svm'] > 0 and result['seconds']['features'] > 0
    choices = result['choices']
    assert choices['pooling'].startswith('avg')
    assert choices['pixels'] == (
        'RGB, mean [100.0, 101.0, 102.0], std [50.0, 51.0, 52.0]')
    assert 'iter_10.pth (sha256 ' in choices['checkpoint']
    assert 'left out' in choices['difficult in the test']

    printed = capsys.readouterr().out
    before, after = printed.split('features [', 1)
    for how in choices.values():
        assert how in before
    assert 'left out of the mean: unseen (' in before
    assert 'mAP' in after and 'over 2 of 3 classes' in after
    assert 'published VOC07' in after


def test_pixel_statistics_are_the_configs(pretraining):
    cfg = evaluation_config(Config.fromfile(pretraining), 32)
    assert cfg.model.data_preprocessor.mean == [100, 101, 102]
    assert cfg.model.data_preprocessor.to_rgb is True
    assert 'init_cfg' not in cfg.model.backbone
    assert cfg.test_dataloader.dataset.image_size == 32


def test_command_needs_pixel_statistics(command, tmp_path):
    path = tmp_path / 'bare.py'
    path.write_text(PRETRAINING.replace('mean=', 'pad_value=0, fill='))
    with pytest.raises(ValueError, match='no data_preprocessor with mean'):
        command(path, 'random')
    path.write_text('default_scope = None')
    with pytest.raises(ValueError, match='no model.backbone'):
        command(path, 'random')


def test_random_backbone_is_seeded(command, pretraining, tmp_path):
    first = command(pretraining, 'random', '--seed', 3, '--save-features',
                    tmp_path / 'kept.npy')
    second = command(pretraining, 'random', '--seed', 3)
    other = command(pretraining, 'random', '--seed', 4)
    assert 'seed 3' in first['choices']['checkpoint']
    assert first['svm'] == second['svm']
    assert first['svm'] != other['svm']
    # Kept features give the same without a backbone, by the other solver too.
    again = command(pretraining, 'random', '--features', tmp_path / 'kept.npy')
    assert first['svm'] == again['svm']
    peer = command(pretraining, 'random', '--features', tmp_path / 'kept.npy',
                   '--solver', 'sklearn')
    assert peer['protocol']['svm']['solver'] == 'sklearn'
    assert peer['mAP'] == pytest.approx(first['mAP'], abs=0.1)


def test_checkpoint_that_does_not_fit(command, pretraining, checkpoint,
                                      tmp_path):
    content = torch.load(checkpoint, weights_only=True)
    state = content['state_dict']
    del state['backbone.layer2.0.conv1.weight']
    state['backbone.bn1.weight'] = torch.ones(9)
    broken = tmp_path / 'broken.pth'
    torch.save(content, broken)
    with pytest.raises(RuntimeError) as caught:
        command(pretraining, broken)
    assert 'layer2.0.conv1.weight' in str(caught.value)
    assert 'bn1.weight' in str(caught.value)
    with pytest.raises(FileNotFoundError, match='no checkpoint "nowhere.pth"'):
        command(pretraining, 'nowhere.pth')


def test_wrong_data_is_one_sentence(command, pretraining, voc, tmp_path):
    with pytest.raises(FileNotFoundError, match='is not a VOC data set; did'):
        command(pretraining, 'random', data_root=tmp_path)
    (voc / 'JPEGImages/000030.jpg').unlink()
    with pytest.raises(
            FileNotFoundError, match='1 of 40 images.*000030.jpg'):
        command(pretraining, 'random')


def test_other_stage_and_pool(command, pretraining):
    result = command(pretraining, 'random', '--stage', 1, '--pool', '2x2',
                     '--costs', 1, 0.1)
    assert result['feature_dim'] == 4 * 16
    assert result['protocol']['svm']['costs'] == [1, 0.1]


def test_the_whole_suite(command, pretraining, checkpoint, capsys):
    result = command(pretraining, checkpoint, '--stages', 'all', '--preset',
                     'vissl', '--shots', 1, 4, 9, '--samples', 2,
                     '--neighbours', 3, 12, '--costs', 1, 0.1, tool='voc07')
    assert result['stage'] == 'stage3'
    earlier = result['earlier_stages']
    assert list(earlier) == ['stage0', 'stage1', 'stage2']
    for name, dim in zip(earlier, (8, 16, 32)):
        assert earlier[name]['feature_dim'] == dim
        for probe in ('svm', 'linear', 'knn'):
            assert 50 < earlier[name][probe]['mAP'] <= 100
    for probe in ('svm', 'linear', 'knn'):
        assert set(result[probe]['classes']) == {'bright', 'striped'}
        assert result[probe]['mAP'] > 80
        assert result['seconds'][probe] > 0
    assert result['knn']['mAP_per_neighbours'].keys() == {'3', '12'}
    shots = result['low_shot']['shots']
    # 12 images are bright: 9 of them need 18 others, of which there are 12.
    assert shots['9']['left_out']['bright'] == '12 of 18 negative images'
    assert shots['4']['classes'] == 2 and shots['9']['classes'] == 0
    assert len(shots['4']['mAP_per_sample']) == 2
    choices = result['choices']
    assert choices['preset'] == (
        'vissl, but for pool, svm.costs, low_shot.shots, low_shot.samples, '
        'knn.neighbours')
    assert 'backend=pillow' in choices['image transforms']
    assert 'as in mmselfsup and VISSL' in choices['low-shot, choice of cost']
    assert 'log(1 + e^-m)' in choices['linear (our choice), classifier']
    printed = capsys.readouterr().out
    assert 'kNN mAP' in printed and 'k=4' in printed
    # The table of the stages.
    assert [line.split()[0] for line in printed.splitlines()
            if line.startswith('stage')] == [
                'stage', 'stage0', 'stage1', 'stage2', 'stage3']


def test_too_many_neighbours_are_said_before_the_features(
        command, pretraining):
    with pytest.raises(ValueError, match='200 nearest neighbours.*24 train'):
        command(pretraining, 'random', tool='voc07')


def test_presets():
    ours, theirs = (make_protocol(name) for name in ('mmselfsup', 'vissl'))
    assert ours.svm.costs == MMSELFSUP_COSTS
    # Of VISSL's own configs.
    assert theirs.svm.costs == (0.01, 0.1, 1, 2, 5, 10, 15, 20, 50, 100, 1000)
    assert ours.low_shot == theirs.low_shot
    assert ours.low_shot.shots == (1, 2, 4, 8, 16, 32, 64, 96)
    assert ours.describe()['preset'] == 'mmselfsup'
    # A single option overrides, and is said.
    single = make_protocol('vissl', ['svm'], svm=dict(folds=5))
    assert single.svm.folds == 5 and single.svm.costs == theirs.svm.costs
    assert single.describe()['preset'] == 'vissl, but for svm.folds'
    words = '; '.join(theirs.describe().values())
    for part in ('8, 5, 3, 1', '3 folds', 'present 2, absent 1', '1e+03',
                 '5 independent draws', 'left out of its class',
                 'never drawn', 'counted as absent'):
        assert part in words, part
    dataset = dict()
    use_preset(dataset, 'vissl')
    assert dataset == dict(resize_backend='pillow')
    dataset = dict(resize_backend='cv2')
    use_preset(dataset, 'vissl')
    assert dataset == dict(resize_backend='cv2')


@pytest.mark.parametrize('kwargs, words', [
    (dict(preset='lightly'), 'preset is one of mmselfsup, vissl'),
    (dict(probes=['svm', 'mlp']), "probes are some of svm.*not 'mlp'"),
    (dict(probes=[]), 'not none'),
    (dict(pool='max'), 'pool is one of'),
    (dict(svm=dict(cost=1)), 'svm has no choice cost: it has loss'),
])
def test_bad_choices(kwargs, words):
    with pytest.raises(ValueError, match=words):
        make_protocol(**kwargs)


def _test_tool(voc, tmp_path, checkpoint, *options, item='metrics'):
    out = tmp_path / 'metrics.json'
    _tool('test').main([
        R18, checkpoint, '--work-dir',
        str(tmp_path / 'run'), '--out',
        str(out), '--out-item', item, '--cfg-options',
        f'test_dataloader.dataset.data_root={voc}',
        'test_dataloader.dataset.image_size=32',
        'test_dataloader.num_workers=0', 'model.backbone.base_channels=8',
        'model.backbone.stem_channels=8', *options
    ])
    result = json.loads((tmp_path / 'run/voc07_svm.json').read_text())
    return json.loads(out.read_text()), result


def test_evaluation_of_a_config(voc, tmp_path, checkpoint):
    metrics, result = _test_tool(voc, tmp_path, checkpoint,
                                 'test_cfg.svm.costs=[1,0.01]')
    assert metrics['voc07/svm/mAP'] == result['mAP'] > 90
    assert metrics['voc07/svm/AP/striped'] == result['svm']['classes'][
        'striped']['ap']
    assert 'voc07/svm/AP/unseen' not in metrics
    assert result['protocol']['svm']['costs'] == [1, 0.01]
    scalars, = (tmp_path / 'run').glob('*/*.json')
    assert json.loads(scalars.read_text())['voc07/svm/mAP'] == result['mAP']
    assert result['choices']['pixels'].startswith('RGB, mean [123.675')


def test_predictions_that_there_are_none_of_are_refused(voc, tmp_path):
    with pytest.raises(ValueError, match='add --out-item metrics'):
        _test_tool(voc, tmp_path, 'random', 'log_level=ERROR', item='pred')


def test_evaluation_of_a_config_is_strict(voc, tmp_path, checkpoint):
    with pytest.raises(RuntimeError, match='layer1.0.conv1.weight'):
        _test_tool(voc, tmp_path, checkpoint, 'model.backbone.depth=50')
    metrics, _ = _test_tool(voc, tmp_path, 'random')
    assert metrics['voc07/svm/mAP'] > 50
    with pytest.raises(ValueError, match='leave out --amp'):
        _test_tool(voc, tmp_path, 'random', 'test_cfg.fp16=True')


def test_inherited_by_package_name(voc, tmp_path):
    path = tmp_path / 'child.py'
    path.write_text(f"""
_base_ = 'mmmultissl::voc07/svm_resnet18_128px.py'
model = dict(backbone=dict(base_channels=8, stem_channels=8))
test_dataloader = dict(
    num_workers=0, dataset=dict(data_root={str(voc)!r}, image_size=32))
test_cfg = dict(
    _delete_=True, type='mmmultissl.VOC07SVMLoop', pool='avg',
    protocol=dict(costs=(1, 0.1)))
""")
    _tool('test').main(
        [str(path), 'random', '--work-dir',
         str(tmp_path / 'run')])
    result = json.loads((tmp_path / 'run/voc07_svm.json').read_text())
    assert result['protocol']['svm']['costs'] == [1, 0.1]
    assert result['protocol']['probes'] == ['svm']
    assert result['feature_dim'] == 64


@pytest.mark.parametrize('name', ['multissl_densecl_r50.py'])
def test_backbone_of_a_shipped_pretraining_config(name):
    cfg = Config.fromfile(ROOT / 'configs' / name)
    made = evaluation_config(cfg)
    assert made.model.backbone.depth == 50
    assert made.test_cfg.pool == 'grid'
    assert made.model.data_preprocessor.to_rgb is True
    assert made.model.data_preprocessor.mean == [123.675, 116.28, 103.53]


def test_shipped_configs():
    for name in ('voc07_resnet50', 'svm_resnet50', 'voc07_resnet50_vissl'):
        cfg = Config.fromfile(ROOT / f'configs/voc07/{name}.py')
        assert cfg.runner_type == 'mmmultissl.StrictRunner'
        assert cfg.model.backbone.depth == 50
        assert cfg.test_cfg.pool == 'grid'
        assert cfg.test_dataloader.dataset.image_size == 224
        assert cfg.test_cfg.get('preset') == (
            'vissl' if 'vissl' in name else None)
    r18 = Config.fromfile(R18)
    assert r18.model.backbone.depth == 18
    assert r18.test_cfg.pool == 'avg' and r18.test_cfg.probes == ('svm', )
    assert r18.test_dataloader.dataset.image_size == 128


def test_progress_ends_complete():
    file = io.StringIO()
    progress = Progress('work', 3., file)
    for _ in range(3):
        progress(1.)
    progress(1e-9)
    lines = file.getvalue().splitlines()
    assert len(lines) == 1 and '100%, took' in lines[0]
