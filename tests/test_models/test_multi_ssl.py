# Copyright (c) mmmultissl contributors. All rights reserved.
"""What users may get wrong in MultiSSL, and its switches."""
import logging
from copy import deepcopy

import pytest
import torch
from mmengine.logging import MessageHub

from . import golden


def one_step(model, views, seed=0):
    torch.manual_seed(seed)
    loss, log = model.parse_losses(model.loss(views, None))
    loss.backward()
    return log


def test_unknown_view_names_the_views_there_are():
    model = golden.build(dict(moco=golden.moco_task(key_view='view7')))
    with pytest.raises(
            ValueError, match='"moco" reads the view "view7".*view0, view1'):
        model.train().loss(next(golden.batches(1)), None)


@pytest.mark.parametrize('tasks, message', [
    ({}, 'names no task'),
    (dict(moco=None), 'names no task'),
    ([golden.moco_task()], 'write a dict'),
    ({'my.task': golden.moco_task()}, 'cannot be called "my.task"'),
    (dict(lossy=golden.moco_task()), 'cannot be called "lossy"'),
    (dict(keys=golden.moco_task()), 'cannot be called "keys"'),
    (dict(init_cfg=golden.moco_task()), 'cannot be called "init_cfg"'),
])
def test_unusable_tasks_are_explained(tasks, message):
    with pytest.raises(ValueError, match=message):
        golden.build(tasks)


@pytest.mark.parametrize('cfg, message', [
    (dict(type='mmmultissl.NoSuchTask'), '"a" has the type .*NoSuchTask'),
    (dict(type='mmpretrain.MoCo', neck={}, head={}, backbone={}),
     '"a" has the type mmpretrain.MoCo, which is no task'),
    (dict(queue_len=8), '"a" has no type'),
])
def test_unknown_task_type_lists_the_tasks(cfg, message):
    with pytest.raises(ValueError, match=message) as error:
        golden.build(dict(a=cfg))
    known = str(error.value).split('one of ')[1].rstrip('.').split(', ')
    assert {'mmmultissl.DenseCLTask', 'mmmultissl.MMPretrainTask',
            'mmmultissl.MoCoV2Task'} <= set(known)
    assert known == sorted(known)
    assert 'mmmultissl.PretextTask' not in known


def test_mistyped_arguments_are_explained():
    with pytest.raises(ValueError, match='Task "moco" .*did you mean queue'):
        golden.build(dict(moco=golden.moco_task(queue_lenght=8)))
    with pytest.raises(ValueError, match='balancer .*did you mean weights'):
        golden.build(
            dict(moco=golden.moco_task()),
            balancer=dict(type='mmmultissl.FixedWeights', weight=dict()))


@pytest.mark.parametrize('images, warned', [
    (2 * golden.QUEUE, False), (2 * golden.QUEUE - 1, True)])
def test_queue_longer_than_half_the_data_is_told(monkeypatch, images,
                                                 warned):
    model = golden.build(dict(moco=golden.moco_task()))
    said = []
    monkeypatch.setattr(
        'mmmultissl.models.selfsup.multi_ssl.print_log',
        lambda text, logger, level: said.append((text, level)))
    model.announce_dataset(images)
    assert len(said) == warned
    for text, level in said:
        assert f'model.tasks.moco.queue_len to {images // 2} or' in text
        assert level == logging.WARNING


def test_scaled_losses_are_those_of_a_weight_bit_for_bit():
    found = []
    for kwargs in (dict(loss_scales=dict(moco=100.)), dict(balancer=dict(
            type='mmmultissl.FixedWeights', weights=dict(moco=100.)))):
        torch.manual_seed(1)
        model = golden.build(
            dict(moco=golden.moco_task(), densecl=golden.densecl_task()),
            **kwargs).train()
        log = one_step(model, next(golden.batches(1)))
        found.append((log, [p.grad for p in model.parameters()]))
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=0)


@pytest.mark.parametrize('scales, message', [
    (dict(mocco=2.), 'names mocco, but the tasks are moco'),
    (dict(moco=0.), 'has 0.0 for the task "moco": give a number above 0')])
def test_scales_that_cannot_be(scales, message):
    with pytest.raises(ValueError, match=message):
        golden.build(dict(moco=golden.moco_task()), loss_scales=scales)


def test_negative_weight_is_refused():
    with pytest.raises(ValueError, match='train against it'):
        golden.build(
            dict(moco=golden.moco_task()),
            balancer=dict(
                type='mmmultissl.FixedWeights', weights=dict(moco=-1.)))


def test_weight_of_a_task_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match='names densecl, but the tasks are'):
        golden.build(
            dict(moco=golden.moco_task()),
            balancer=dict(
                type='mmmultissl.FixedWeights', weights=dict(densecl=2.)))


def test_weights_scale_losses_and_what_is_trained():
    tasks = dict(moco=golden.moco_task(), densecl=golden.densecl_task())
    plain = golden.build(tasks).train()
    weighted = golden.build(
        tasks,
        balancer=dict(
            type='mmmultissl.FixedWeights', weights=dict(moco=0.25))).train()
    weighted.load_state_dict(plain.state_dict())
    views = next(golden.batches(1))
    log, weighted_log = one_step(plain, views), one_step(weighted, views)
    torch.testing.assert_close(weighted_log['moco.loss'],
                               0.25 * log['moco.loss'])
    torch.testing.assert_close(weighted_log['densecl.loss_dense'],
                               log['densecl.loss_dense'])
    ratio = (weighted.tasks['moco'].neck.mlp[0].weight.grad /
             plain.tasks['moco'].neck.mlp[0].weight.grad)
    torch.testing.assert_close(
        ratio.nanmedian(), torch.tensor(0.25), rtol=1e-5, atol=0)


def test_adapter_refuses_what_it_cannot_share():
    moco = dict(
        type='mmpretrain.MoCo', neck=golden.MOCO_NECK, head=golden.HEAD,
        queue_len=8, feat_dim=golden.DIM)
    with pytest.raises(ValueError, match='use mmmultissl.MoCoV2Task'):
        golden.build(
            dict(a=dict(type='mmmultissl.MMPretrainTask', algorithm=moco)))
    with pytest.raises(ValueError, match='names a backbone of its own'):
        golden.build(
            dict(
                a=dict(
                    type='mmmultissl.MMPretrainTask',
                    algorithm=dict(moco, backbone=golden.TRUNK))))


def test_adapter_refuses_an_algorithm_that_changes_its_input():
    simclr = dict(
        type='mmpretrain.SimCLR',
        neck=golden.MOCO_NECK,
        head=golden.HEAD)
    model = golden.build(
        dict(a=dict(type='mmmultissl.MMPretrainTask', algorithm=simclr)))
    with pytest.raises(ValueError, match='changes its input'):
        model.train().loss(next(golden.batches(1)), None)


def test_densecl_pools_the_trunk_to_the_necks_grid():
    task = golden.densecl_task()
    task['neck'] = dict(task['neck'], num_grid=2)
    model = golden.build(dict(a=task)).train()
    seen = []
    model.tasks['a'].loss_module.register_forward_pre_hook(
        lambda _, inputs: seen.append(len(inputs[0])))
    # A map of 4x4 cells, projected as 2x2.
    model.loss(next(golden.batches(1, size=128)), None)
    assert seen == [golden.BATCH, golden.BATCH * 4]


def test_densecl_warms_up():
    model = golden.build(
        dict(densecl=golden.densecl_task(warmup_iters=3))).train()
    hub, views = MessageHub.get_current_instance(), next(golden.batches(1))
    for iteration, weight in ((0, 0.), (2, 0.), (3, 0.5)):
        hub.update_info('iter', iteration)
        assert model.tasks['densecl'].current_lambda() == weight
        losses = model.loss(views, None)
        assert (losses['densecl.loss_dense'] == 0) == (weight == 0)
        assert losses['densecl.loss_single'] > 0
    hub.update_info('iter', 0)


def test_the_warm_up_of_densecl_is_a_share_of_any_run():
    task = golden.build(dict(
        densecl=golden.densecl_task(warmup_iters=.02))).tasks['densecl']
    hub = MessageHub.get_current_instance()
    try:
        for total, last in ((9400, 187), (320, 6)):
            hub.update_info('max_iters', total)
            for iteration, weight in ((last, 0.), (last + 1, .5)):
                hub.update_info('iter', iteration)
                assert task.current_lambda() == weight
    finally:
        hub.update_info('iter', 0)
        hub.update_info('max_iters', 1)


@pytest.mark.parametrize('length', [1., 1.5, -1, -.5])
def test_a_warm_up_that_cannot_be_is_refused(length):
    with pytest.raises(ValueError, match=f'of DenseCL is {length}: set'):
        golden.build(dict(densecl=golden.densecl_task(warmup_iters=length)))


def test_densecl_matches_cells_by_brute_force():
    from mmmultissl.models import match_cells
    query, key = torch.randn(3, 7, 9), torch.randn(3, 7, 5)
    expected = [[
        max(range(5), key=lambda j: float(query[n, :, i] @ key[n, :, j]))
        for i in range(9)
    ] for n in range(3)]
    assert match_cells(query, key).tolist() == expected
    # An injective map is matched with itself.
    same = torch.nn.functional.normalize(torch.randn(2, 32, 16), dim=1)
    assert torch.equal(
        match_cells(same, same), torch.arange(16).expand(2, -1))


def test_densecl_without_its_dense_part_is_moco():
    densecl = golden.build(
        dict(a=golden.densecl_task(loss_lambda=0.))).train()
    moco = golden.build(dict(a=golden.moco_task())).train()
    moco.backbone.load_state_dict(densecl.backbone.state_dict())
    moco.tasks['a'].neck.mlp.load_state_dict(
        densecl.tasks['a'].neck.mlp.state_dict())
    moco.tasks['a'].queue.load_state_dict(
        densecl.tasks['a'].queue.state_dict())
    views = next(golden.batches(1))
    log, reference = one_step(densecl, views), one_step(moco, views)
    torch.testing.assert_close(log['a.loss_single'], reference['a.loss'])
    torch.testing.assert_close(densecl.backbone.conv1.weight.grad,
                               moco.backbone.conv1.weight.grad)


@pytest.mark.parametrize('switch', [
    dict(channels_last=True),
    pytest.param(dict(compile=True), marks=pytest.mark.slow),
])
def test_switches_change_speed_not_results(switch):
    tasks = dict(moco=golden.moco_task(), densecl=golden.densecl_task())
    plain = golden.build(tasks)
    switched = golden.build(tasks, **switch)
    assert list(switched.state_dict()) == list(plain.state_dict())
    switched.load_state_dict(plain.state_dict())
    if 'channels_last' in switch:
        assert switched.backbone.layer1[0].conv1.weight.is_contiguous(
            memory_format=torch.channels_last)
    expected = golden.train(plain, golden.batches(2))
    got = golden.train(switched, golden.batches(2))
    torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-4)


def test_recomputation_changes_nothing():
    tasks = dict(moco=golden.moco_task(), densecl=golden.densecl_task())
    plain = golden.build(tasks)
    other = golden.build(tasks, recompute=['layer1', 'layer2'])
    other.load_state_dict(plain.state_dict())
    expected = golden.train(plain, golden.batches(4))
    assert torch.equal(golden.train(other, golden.batches(4)), expected)
    for key, value in plain.state_dict().items():
        assert torch.equal(other.state_dict()[key], value), key


def test_recomputation_runs_a_part_twice_with_gradient_only():
    model = golden.build(dict(moco=golden.moco_task()), recompute=['layer1'])
    calls = []
    model.backbone.layer1[0].conv1.register_forward_hook(
        lambda *_: calls.append('online'))
    model.momentum['ema0'].backbone.layer1[0].conv1.register_forward_hook(
        lambda *_: calls.append('ema'))
    one_step(model.train(), next(golden.batches(1)))
    assert calls == ['online', 'ema', 'online']
    copy = deepcopy(model)
    assert copy.backbone.layer1.forward.__self__.module is \
        copy.backbone.layer1


def test_recomputation_of_an_unknown_part_is_refused():
    with pytest.raises(ValueError, match='no part "layer9".*layer1, layer2'):
        golden.build(dict(moco=golden.moco_task()), recompute=['layer9'])


def test_bfloat16_autocast_stays_close():
    tasks = dict(moco=golden.moco_task(), densecl=golden.densecl_task())
    plain = golden.build(tasks).train()
    half = golden.build(tasks).train()
    half.load_state_dict(plain.state_dict())
    views = next(golden.batches(1))
    log = one_step(plain, views)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        half_log = one_step(half, views)
    for key in ('moco.loss', 'densecl.loss_single', 'densecl.loss_dense'):
        assert half_log[key].dtype == torch.float32
        torch.testing.assert_close(half_log[key], log[key], rtol=0.03,
                                   atol=0.)


def test_positives_keep_full_precision_under_autocast():
    model = golden.build(
        dict(moco=golden.moco_task(), densecl=golden.densecl_task())).train()
    seen = []
    for task in model.tasks.values():
        task.loss_module.register_forward_pre_hook(
            lambda _, inputs: seen.append(inputs))
    with torch.autocast('cpu', dtype=torch.bfloat16):
        model.loss(next(golden.batches(1)), None)
    assert len(seen) == 3
    for query, positive, _ in seen:
        assert positive.dtype == torch.float32
        # Unit vectors: a product of 8 bits would be off by up to 1/256.
        rounded = positive.bfloat16().float()
        assert not torch.equal(positive, rounded)
