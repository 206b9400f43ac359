# Copyright (c) mmmultissl contributors. All rights reserved.
"""What docs/distillation.md shows is there, and builds."""
import inspect
import re
from pathlib import Path

import torch
from mmengine.registry import DefaultScope

from mmmultissl.models import MultiSSL, losses
from mmmultissl.registry import MODELS

PAGE = (Path(__file__).parents[2] / 'docs' / 'distillation.md').read_text()


def blocks():
    return re.findall(r'```python\n(.*?)```', PAGE, re.S)


def test_the_task_of_the_page_trains(tmp_path):
    scope = {}
    exec(blocks()[0], scope)
    remember = scope['model']['tasks']['remember']
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        backbone = remember['teacher']['backbone']
        teacher = MODELS.build(backbone)
        path = tmp_path / 'teacher.pth'
        torch.save(dict(state_dict={
            f'backbone.{k}': v for k, v in teacher.state_dict().items()
        }), path)
        remember['teacher']['checkpoint'] = str(path)
        model = MultiSSL(backbone, dict(remember=remember)).train()
        model.init_weights()
    losses_ = model.loss([torch.randn(2, 3, 64, 64)], None)
    assert {'remember.loss', 'remember.distance'} == set(losses_)
    # What it shows as settings are the defaults.
    defaults = inspect.signature(type(model.tasks['remember'])).parameters
    for name, value in remember.items():
        if name not in ('type', 'teacher', 'distance'):
            assert defaults[name].default == value, name
    assert type(model.tasks['remember'].distance).__name__ == \
        'EuclideanDistance'


def test_the_table_names_all_distances():
    named = re.findall(r'^\| `(\w+Distance)`', PAGE, re.M)
    there = [name for name in losses.__all__ if name.endswith('Distance')
             and name != 'DistillationDistance']
    assert sorted(named) == sorted(there)
    for name in named:
        layouts = MODELS.get(f'mmmultissl.{name}').layouts
        row = re.search(rf'^\| `{name}`.*', PAGE, re.M)[0].split(' | ')
        for layout in ('pooled', 'dense'):
            assert (layout in row[3]) == (layout in layouts), name


def test_defaults_in_the_table():
    for name, argument, value in (
        ('ContrastiveDistance', 'temperature', 0.2),
        ('KDDistance', 'temperature', 4),
        ('CRDDistance', 'temperature', 0.07),
        ('CRDDistance', 'queue_len', 16384),
        ('QueueSimilarityDistance', 'queue_len', 65536),
        ('QueueSimilarityDistance', 'temperature', 0.2),
        ('QueueSimilarityDistance', 'teacher_temperature', 0.01),
        ('RKDDistance', 'distance_weight', 1),
        ('RKDDistance', 'angle_weight', 2),
    ):
        parameters = inspect.signature(getattr(losses, name)).parameters
        assert parameters[argument].default == value
        assert f'{value}' in re.search(rf'^\| `{name}`.*', PAGE, re.M)[0]


def test_old_heads_of_the_page_are_arguments():
    arguments = dict(re.findall(r'^    (\w+)=(.+?),? *(?:#.*)?$', blocks()[1],
                                re.M))
    cls = MODELS.get('mmmultissl.OldHeadDistillationTask')
    parameters = inspect.signature(cls).parameters
    assert set(arguments) - {'type'} <= set(parameters)
    assert parameters['temperature'].default == 2
