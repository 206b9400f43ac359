# Copyright (c) mmmultissl contributors. All rights reserved.
"""Common set-up: every test starts from one seed and one thread count."""
import os
import random

import numpy as np
import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.registry import DefaultScope
from mmengine.visualization import Visualizer

# Configs read these, and somebody may have exported them.
for _name in ('BACKBONE', 'BINAURAL_ROOT', 'COCO_FOLD', 'COCO_ROOT',
              'ESC10_ROOT', 'VOC_ROOT'):
    os.environ.pop(_name, None)

# Small tensors: more threads only wait for each other.
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def seeded():
    """Seed what a test may draw from."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    hub = MessageHub.get_current_instance()
    hub.update_info('iter', 0)
    hub.update_info('max_iters', 1)


@pytest.fixture(autouse=True, scope='module')
def own_scope():
    """Keep the default scope that the tests of a file set, by building a
    runner for example, from those of the next."""
    before = DefaultScope._instance_dict.copy()
    yield
    DefaultScope._instance_dict = before


@pytest.fixture(autouse=True)
def own_visualizer():
    """Runs of one second and name share mmengine's visualizer, which draws
    into the folder of the first, and that may be gone with its test."""
    yield
    kinds = [Visualizer]
    for kind in kinds:
        kinds += kind.__subclasses__()
        kind._instance_dict.clear()
