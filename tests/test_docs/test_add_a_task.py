# Copyright (c) mmmultissl contributors. All rights reserved.
"""What docs/add_a_task.md shows works: task, config, commands and test."""
import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / 'docs' / 'add_a_task.md').read_text()
TASK, CONFIG, CHECK = re.findall(r'```python\n(.*?)```', PAGE, re.S)
COMMANDS, = re.findall(r'```bash\n(.*?)```', PAGE, re.S)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Lay out the two files of the page, and a few images."""
    folder = tmp_path_factory.mktemp('own task')
    (folder / 'simclr_task.py').write_text(TASK)
    (folder / 'simclr.py').write_text(CONFIG)
    (folder / 'images').mkdir()
    rng = np.random.default_rng(0)
    for i in range(8):
        picture = cv2.resize(
            rng.integers(0, 255, (6, 6, 3), dtype=np.uint8), (80, 60))
        cv2.imwrite(str(folder / 'images' / f'{i}.jpg'), picture)
    return folder


@pytest.fixture(scope='module')
def checked(folder):
    """Run the page's test; what it made is kept for more tests."""
    before = os.getcwd()
    names = {}
    sys.path.insert(0, str(folder))
    os.chdir(folder)
    torch.manual_seed(0)
    try:
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            exec(CHECK, names)
    finally:
        os.chdir(before)
        sys.path.remove(str(folder))
    return names


def test_the_pages_own_test_passes_and_can_fail(checked):
    assert checked['losses']['simclr.loss'].item() == pytest.approx(
        0.5 * checked['theirs'].item(), rel=1e-5)
    # The temperature matters, so the comparison is not of constants.
    task = checked['ours'].tasks['simclr']
    task.temperature = 0.2
    other = checked['ours'].loss(checked['views'])['simclr.loss']
    task.temperature = 0.1
    assert abs(other - checked['losses']['simclr.loss']) > 1e-3


def test_the_loss_is_equation_1(checked):
    """NT-Xent, term by term, in double precision."""
    model, views = checked['ours'], checked['views']
    neck = model.tasks['simclr'].neck
    with torch.no_grad():
        z = torch.cat([neck(model.backbone(view))[0] for view in views])
        z = z.double() / z.double().norm(dim=1, keepdim=True)
    total, hits = 0., 0
    count = len(z)
    for i in range(count):
        pair = (i + count // 2) % count
        others = {k: math.exp(float(z[i] @ z[k]) / 0.1)
                  for k in range(count) if k != i}
        total -= math.log(others[pair] / sum(others.values()))
        hits += max(others, key=others.get) == pair
    losses = model.loss(views)
    # The config weighs the loss by a half; what is only logged stays.
    assert losses['simclr.loss'].item() == pytest.approx(
        0.5 * total / count, rel=1e-4)
    assert losses['simclr.accuracy'].item() == pytest.approx(hits / count)


def test_the_task_stands_beside_moco_in_the_place_of_densecl(checked):
    model = checked['ours']
    assert list(model.tasks) == ['moco', 'simclr']
    assert type(model.tasks['simclr']).__module__ == 'simclr_task'
    # It reads no keys, so only MoCo has an EMA copy of its neck.
    assert [list(e.tasks) for e in model.momentum.values()] == [['moco']]


@pytest.mark.slow
def test_the_commands_draw_the_views_and_train(folder):
    """The commands as they stand, with what makes them small added."""
    small = ('train_dataloader.batch_size=4 train_dataloader.num_workers=0 '
             'train_cfg.max_epochs=None train_cfg.max_iters=3 '
             'default_hooks.logger.interval=1 '
             'default_hooks.checkpoint.interval=3 randomness.seed=0 '
             'model.tasks.moco.queue_len=8')
    commands = COMMANDS.replace('/path/to/images', f'images {small}')
    commands = commands.replace('python ', f'{sys.executable} ')
    commands = commands.replace('--out views.png', '--out views.png -n 2')
    done = subprocess.run(
        ['bash', '-ec', commands],
        cwd=folder,
        text=True,
        capture_output=True,
        env=dict(os.environ, CHECKOUT=str(ROOT), OMP_NUM_THREADS='1'))
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    assert 'simclr reads view0, view1 from the trained trunk\n' in done.stdout
    assert cv2.imread(str(folder / 'views.png')).shape[1] > 3 * 160
    log, = (folder / 'work_dirs' / 'simclr').glob('*/vis_data/scalars.json')
    steps = [json.loads(line) for line in log.read_text().splitlines()]
    assert len(steps) == 3
    for step in steps:
        assert step['loss'] == pytest.approx(
            step['moco.loss'] + step['simclr.loss'], rel=1e-4)
        # Of 4 x 2 views, each has 1 pair among 7 others.
        assert 0 < step['simclr.loss'] < 0.5 * (math.log(7) + 2 / 0.1)
        assert 8 * step['simclr.accuracy'] == pytest.approx(
            round(8 * step['simclr.accuracy']), abs=1e-3)
    state = torch.load(folder / 'work_dirs' / 'simclr' / 'iter_3.pth')
    assert 'tasks.simclr.neck.fc0.weight' in state['state_dict']
