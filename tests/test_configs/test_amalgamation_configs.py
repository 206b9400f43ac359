# Copyright (c) mmmultissl contributors. All rights reserved.
"""The amalgamation configs build, and learn from the checkpoints they name."""
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

import mmmultissl  # noqa: F401

from .test_shipped_configs import is_known, types_in

CONFIGS = Path(__file__).parents[2] / 'configs'
FOLDER = CONFIGS / 'amalgamation'
NAMES = sorted(path.name for path in FOLDER.glob('*.py'))
# Which single-task configs make the teachers.
SINGLE = dict(
    moco='multissl/moco_resnet18_1xb64-coslr-100e_folder-96px.py',
    densecl='multissl/densecl_resnet18_1xb64-coslr-100e_folder-96px.py',
    spatial='binaural/spatial-alignment_omniaudio-w16_1xb32-coslr-50e_'
    '16khz.py',
    foreground='binaural/foreground-alignment_omniaudio-w16_1xb32-coslr-50e_'
    '16khz.py',
    gap='binaural/temporal-gap_omniaudio-w16_1xb32-coslr-50e_16khz.py')


@pytest.fixture(autouse=True)
def scope():
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        yield


@pytest.fixture(scope='module')
def checkpoints(tmp_path_factory):
    """A checkpoint of every single task, as its config builds it."""
    folder, paths = tmp_path_factory.mktemp('teachers'), {}
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        for seed, (name, config) in enumerate(SINGLE.items()):
            torch.manual_seed(seed)
            model = MODELS.build(Config.fromfile(CONFIGS / config).model)
            paths[name] = str(folder / f'{name}.pth')
            torch.save(dict(state_dict=model.state_dict()), paths[name])
    return paths


def test_there_are_both_distances_for_images_and_sound():
    assert len(NAMES) == 4


def read(name, how, tmp_path):
    if how == 'path':
        return Config.fromfile(FOLDER / name)
    child = tmp_path / 'child.py'
    child.write_text(f"_base_ = 'mmmultissl::amalgamation/{name}'\n")
    return Config.fromfile(child)


@pytest.mark.parametrize('how', ['path', 'package'])
@pytest.mark.parametrize('name', NAMES)
def test_students_learn_from_their_teachers(name, how, tmp_path, checkpoints):
    cfg = read(name, how, tmp_path)
    for path, inner_scope, kind in types_in(cfg.to_dict()):
        if kind != 'default_collate' and not path.endswith('.optimizer'):
            assert is_known(kind, inner_scope or 'mmpretrain'), path
    binaural = 'binaural' in name
    singles = (('spatial', 'foreground', 'gap') if binaural else
               ('moco', 'densecl'))
    model = MODELS.build(cfg.model)
    assert set(model.tasks) == {f'from_{single}' for single in singles}
    assert not model.momentum and not model.companions
    wanted = ('EuclideanDistance' if 'euclidean' in name else
              'ContrastiveDistance')
    for task in model.tasks.values():
        assert type(task.distance).__name__ == wanted
        assert task.weight == 1
    if binaural:
        assert tuple(cfg.train_dataloader.dataset.views) == ('clip', )
        assert tuple(cfg.test_dataloader.dataset.views) == ('clip', )
    with pytest.raises(ValueError, match='model.tasks.NAME.teacher.checkp'):
        model.init_weights()

    # As the README says it.
    cfg.merge_from_dict({
        f'model.tasks.from_{single}.teacher.checkpoint': checkpoints[single]
        for single in singles})
    model = MODELS.build(cfg.model)
    model.init_weights()
    for single in singles:
        file = torch.load(checkpoints[single], weights_only=True)
        teacher = model.tasks[f'from_{single}'].teacher.backbone
        for key, value in teacher.state_dict().items():
            assert torch.equal(value, file['state_dict'][f'backbone.{key}'])
    # Every teacher has a predictor of its own.
    first, second = (
        model.tasks[f'from_{single}'].predictor.layers[0].weight
        for single in singles[:2])
    assert not torch.equal(first, second)

    torch.manual_seed(0)
    inputs = (dict(clip=torch.randn(4, 2, 64, 51)) if binaural else
              [torch.randn(4, 3, 64, 64) for _ in range(2)])
    loss, log = model.train().parse_losses(model.loss(inputs, None))
    loss.backward()
    assert all(log[f'from_{single}.distance'] > 0 for single in singles)
    assert all(p.grad is not None for p in model.backbone.parameters())
