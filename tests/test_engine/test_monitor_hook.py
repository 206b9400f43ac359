# Copyright (c) mmmultissl contributors. All rights reserved.
"""The monitor changes nothing, is right, and says what it sees."""
import math

import pytest
import torch
from torch.nn import functional as F
from torch.testing import assert_close

from mmengine.hooks import Hook

from mmmultissl.engine.runner import StrictRunner

from ..test_evaluation.tiny_voc import make_tiny_voc
from . import resume_toy  # noqa: F401  its StopHook
from .monitor_toy import config, every, monitored, run


@pytest.fixture(scope='module')
def voc(tmp_path_factory):
    return make_tiny_voc(tmp_path_factory.mktemp('monitor'))


@pytest.fixture(scope='module')
def runs(voc, tmp_path_factory):
    folder = tmp_path_factory.mktemp('runs')
    return (run(voc, folder / 'without'),
            run(voc, folder / 'with', every(2, voc)), folder)


def assert_same_end(*folders, iteration=8):
    states = [
        torch.load(folder / f'iter_{iteration}.pth', weights_only=True)
        for folder in folders
    ]
    for key in ('state_dict', 'optimizer'):
        assert_close(states[0][key], states[1][key], rtol=0, atol=0)
    return states


def test_ends_bit_for_bit_as_without(runs):
    without, with_hook, folder = runs
    assert_same_end(folder / 'without', folder / 'with')
    expected, found = (r.model.state_dict() for r in (without, with_hook))
    for name in expected:
        assert torch.equal(expected[name], found[name]), name
    # Nothing of it stays behind.
    assert with_hook.model.training
    assert not with_hook.model._watchers
    assert not any(m._forward_pre_hooks or m._forward_hooks
                   for m in with_hook.model.modules())


def test_numbers_at_every_interval(runs):
    found = monitored(runs[2] / 'with')
    assert sorted(found) == [2, 4, 6, 8]
    for numbers in found.values():
        assert all(math.isfinite(value) for value in numbers.values())
        for name in ('trunk', 'moco.queue', 'densecl.queue',
                     'densecl.dense_queue'):
            assert -1 <= numbers[f'{name}/cosine'] <= 1
            assert -8 <= numbers[f'{name}/uniformity'] <= 0
            assert 0 <= numbers[f'{name}/alignment'] <= 4
            assert 0 <= numbers[f'{name}/positive_rank'] <= 1
        assert 1 <= numbers['trunk/effective_rank'] <= 16
        assert 0 < numbers['knn/mAP'] <= 100
        assert -1 <= numbers['gradient/cosine/moco:densecl'] <= 1
        assert numbers['gradient/norm/moco'] > 0
    # A batch of 8 into queues of 32.
    assert found[2]['moco.queue/filled'] == 0.5
    assert found[2]['moco.queue/age'] == 0.5
    assert found[8]['densecl.dense_queue/filled'] == 1
    assert found[8]['moco.queue/age'] == 1.5
    # The weights move, and so do the numbers.
    assert found[2]['trunk/cosine'] != found[4]['trunk/cosine']
    hub = runs[1].message_hub
    assert hub.get_scalar('monitor/trunk/cosine').current() == found[8][
        'trunk/cosine']
    # No loss, and not in the log line of mmengine.
    assert not [n for n in hub.log_scalars
                if 'monitor' in n and ('loss' in n or n.startswith('train'))]


def test_resumed_run_logs_and_ends_the_same(voc, tmp_path):
    """Killed right after iteration 4, of whose features 7 still need some."""
    hook = every(7, rank=dict(interval=7, memory=32))
    run(voc, tmp_path / 'whole', hook)
    # The memory of the 4 steps before iteration 7 begins with the fourth.
    state = torch.load(tmp_path / 'whole/iter_4.pth', weights_only=True)
    assert state['monitor']['rank']['trunk'].shape == (8, 32)

    stopped = run(voc, tmp_path / 'killed', hook, custom_hooks=[
        dict(type='mmmultissl.MonitorHook', **hook),
        dict(type='StopHook', iteration=4)
    ])
    assert stopped.iter == 4
    run(voc, tmp_path / 'killed', hook, resume=True)
    assert_same_end(tmp_path / 'whole', tmp_path / 'killed')
    whole, resumed = (monitored(tmp_path / n) for n in ('whole', 'killed'))
    assert sorted(resumed) == [7, 8]
    assert resumed == whole
    # The hook may come and go.
    run(voc, tmp_path / 'killed', resume=True,
        **{'train_cfg.max_iters': 9})


def test_geometry_is_that_of_the_step(voc, tmp_path):
    """The keys of the step are found in the queue, in the batch's order."""
    seen = {}

    def look(views):
        seen['query'] = views.queries['view0'][-1].detach().mean((2, 3))
        key = views.keys['view1']
        seen['key'] = key.unshuffle(key.features[-1].mean((2, 3)))

    class Watch(Hook):

        def before_train(self, runner):
            seen['contrasts'] = []
            runner.model.watch(look)
            runner.model.tasks.moco.loss_module.register_forward_pre_hook(
                lambda module, args: seen.update(q=args[0], p=args[1]))

    cfg = config(voc, tmp_path / 'run', every(3),
                 **{'train_cfg.max_iters': 3})
    runner = StrictRunner.from_cfg(cfg)
    runner.register_hook(Watch())
    runner.train()
    numbers = monitored(tmp_path / 'run')[3]
    query, key = (F.normalize(seen[n], dim=1) for n in ('query', 'key'))
    assert numbers['trunk/alignment'] == pytest.approx(
        (query - key).square().sum(1).mean().item(), rel=1e-5)
    # A batch of 8 was written behind 16 others: columns 16 to 23.
    keys = runner.model.tasks.moco.queue.keys[:, 16:24].t()
    q = seen['q'].detach()
    assert_close((q * keys).sum(1), seen['p'].detach())
    similarity = q @ keys.t()
    ranks = [(row > row[i] + 1e-6).sum().item()
             for i, row in enumerate(similarity)]
    assert numbers['moco.queue/positive_rank'] == pytest.approx(
        sum(ranks) / 8 / 7)
    assert numbers['moco.queue/alignment'] == pytest.approx(
        (q - keys).square().sum(1).mean().item(), rel=1e-4)


COLLAPSE = dict(
    batch=dict(interval=5),
    rank=None,
    queues=None,
    collapse=dict(begin=0, patience=2))
# Without batch norm a trunk is free to collapse.
LAYOUT = {
    'model.backbone.norm_cfg': dict(type='GN', num_groups=4),
    'model.backbone.base_channels': 8,
    'model.backbone.stem_channels': 8,
    'train_cfg.max_iters': 60,
    'optim_wrapper.optimizer': dict(_delete_=True, type='AdamW', lr=0.001),
    'default_hooks.checkpoint.interval': 60
}
NECK = dict(type='mmmultissl.NormedMoCoV2Neck', in_channels=64)


def warnings_of(folder):
    path, = folder.glob('*/*.log')
    return [line for line in path.read_text().splitlines()
            if 'collapsed' in line]


def test_a_collapse_is_announced(voc, tmp_path):
    run(voc, tmp_path / 'run', COLLAPSE, **LAYOUT, **{
        'model.tasks': dict(
            moco=None,
            densecl=None,
            pull=dict(type='mmmultissl.PullTogether'))
    })
    found = monitored(tmp_path / 'run')
    print({k: (v['trunk/cosine'], v['trunk/positive_rank'])
           for k, v in found.items()})
    said = warnings_of(tmp_path / 'run')
    assert len(said) == 1 and 'the run has collapsed to one point' in said[0]
    assert found[5]['trunk/cosine'] < 0.999 < found[60]['trunk/cosine']


def test_a_healthy_run_is_left_in_peace(voc, tmp_path):
    run(voc, tmp_path / 'run', COLLAPSE, **LAYOUT, **{
        'model.tasks.densecl': None,
        'model.tasks.moco.neck': NECK
    })
    found = monitored(tmp_path / 'run')
    print({k: (v['trunk/cosine'], v['trunk/positive_rank'],
               v['moco.queue/cosine'], v['moco.queue/positive_rank'])
           for k, v in found.items()})
    assert warnings_of(tmp_path / 'run') == []
