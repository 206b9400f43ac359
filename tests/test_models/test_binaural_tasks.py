# Copyright (c) mmmultissl contributors. All rights reserved.
"""The three binaural tasks: values, views, labels, and that they learn."""
import math
from collections import Counter

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from mmpretrain.structures import DataSample
from sklearn.metrics import accuracy_score, log_loss
from torch import nn

from mmmultissl.models import (ForegroundAlignmentTask, FusionHead,
                               LayoutEmbedding, SpatialAlignmentTask,
                               TemporalGapTask, binary_matching, hard_info_nce,
                               margin_matching, ordinal_class, ordinal_loss)
from mmmultissl.models.losses import share_right
from mmmultissl.models.tasks.spatial_alignment import swap_ears
from mmmultissl.utils.command_line import leave_processes

from . import planted
from .test_distributed import Untouched, free_port

VARIANTS = [(planted.spatial, v) for v in SpatialAlignmentTask.variants
            ] + [(planted.foreground, v)
                 for v in ForegroundAlignmentTask.variants
                 ] + [(planted.gap, v) for v in TemporalGapTask.variants]
NAMES = [f'{make.__name__}-{v}' for make, v in VARIANTS]


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmpretrain')


class Encoded:
    """Features in place of encoders."""

    def __init__(self, images=None, **sounds):
        self.images, self.sounds = images, sounds

    def query(self, view):
        return (self.sounds[view], )

    def companion(self, encoder, view):
        assert encoder == 'visual'
        return (self.images, )


def labelled(**fields):
    samples = []
    for values in zip(*fields.values()):
        samples.append(DataSample())
        for field, value in zip(fields, values):
            samples[-1].set_field(value, field, field_type='metainfo')
    return samples


# Values: each against a computation of another kind.


def test_binary_matching_is_the_log_loss_of_both_pairs():
    true, false = torch.randn(7), torch.randn(7)
    got = binary_matching(true, false)
    chances = torch.sigmoid(torch.cat([true, false])).double().numpy()
    labels = np.r_[np.ones(7), np.zeros(7)]
    assert math.isclose(got['loss'], log_loss(labels, chances), rel_tol=1e-6)
    assert math.isclose(
        got['accuracy'], accuracy_score(labels, chances > 0.5), rel_tol=1e-6)


def test_ties_count_half():
    assert share_right(torch.tensor([1., 0., -1., 2.])) == 0.625
    score = torch.randn(9)
    assert binary_matching(score, score)['accuracy'] == 0.5
    unit = nn.functional.normalize(torch.randn(9, 4), dim=1)
    other = nn.functional.normalize(torch.randn(9, 4), dim=1)
    assert margin_matching(other, unit, unit)['accuracy'] == 0.5
    assert hard_info_nce(other, unit, unit)['accuracy'] == 0.5


def test_margin_matching_by_loops():
    anchor, true, false = torch.randn(3, 5, 4, dtype=torch.double) * 0.4
    total = right = 0.
    for a, t, f in zip(anchor.numpy(), true.numpy(), false.numpy()):
        near, far = np.linalg.norm(a - t), np.linalg.norm(a - f)
        total += 0.5 * near**2 + 0.5 * max(0, 0.9 - far)**2
        right += near < far
    got = margin_matching(anchor, true, false, 0.9)
    assert math.isclose(got['loss'], total / 5, rel_tol=1e-12)
    assert math.isclose(got['accuracy'], right / 5, rel_tol=1e-6)
    # Where both are one point the root has no gradient, but the loss has one.
    point = torch.zeros(1, 2, requires_grad=True)
    margin_matching(point, point.detach(), point.detach())['loss'].backward()
    assert torch.isfinite(point.grad).all()


def test_hard_info_nce_by_loops():
    n, t = 6, 0.3
    image, clip, other = nn.functional.normalize(
        torch.randn(3, n, 4, dtype=torch.double), dim=2)
    i, c, o = image.numpy(), clip.numpy(), other.numpy()
    losses, right, found = [], 0, 0
    for k in range(n):
        sounds = [math.exp(i[k] @ s / t) for s in (*c, *o)]
        images = [math.exp(c[k] @ s / t) for s in i]
        losses.append(-0.5 * math.log(sounds[k] / sum(sounds)) -
                      0.5 * math.log(images[k] / sum(images)))
        right += sounds[k] > sounds[n + k]
        found += sounds[k] == max(sounds)
    got = hard_info_nce(image, clip, other, t)
    assert math.isclose(got['loss'], np.mean(losses), rel_tol=1e-12)
    assert math.isclose(got['accuracy'], right / n, rel_tol=1e-6)
    assert math.isclose(got['top1'], found / n, rel_tol=1e-6)


def test_hard_info_nce_keeps_its_precision_under_autocast():
    vectors = nn.functional.normalize(torch.randn(3, 8, 16), dim=2)
    expected = hard_info_nce(*vectors)['loss']
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert torch.equal(hard_info_nce(*vectors)['loss'], expected)


def test_ordinal_loss_is_that_of_every_threshold():
    logits, target = torch.randn(9, 4), torch.arange(9) % 5
    each = [
        log_loss(target > k, torch.sigmoid(logits[:, k]).double().numpy())
        for k in range(4)
    ]
    assert math.isclose(ordinal_loss(logits, target), np.mean(each),
                        rel_tol=1e-6)
    sure = torch.tensor([[-9.] * 4, [9., -9, -9, -9], [9.] * 4])
    assert ordinal_class(sure).tolist() == [0, 1, 4]
    assert ordinal_loss(sure, torch.tensor([0, 1, 4])) < 1e-3


def test_layout_embedding_keeps_where_things_are():
    embed = LayoutEmbedding(3, channels=2, grid=(2, 4), with_mean=True)
    assert embed.out_channels == 2 * 8 + 3
    x = torch.randn(5, 3, 2, 4)
    got = embed(x)
    torch.testing.assert_close(got[:, 16:], x.mean((2, 3)))
    cells = torch.einsum('oc,nchw->nohw', embed.reduce.weight[..., 0, 0],
                         x) + embed.reduce.bias[:, None, None]
    torch.testing.assert_close(got[:, :16], cells.flatten(1))
    # Larger maps are averaged to the grid.
    large = x.repeat_interleave(3, 2).repeat_interleave(2, 3)
    torch.testing.assert_close(embed(large), got)
    turned = embed(x.roll(1, 3))
    torch.testing.assert_close(
        turned[:, :16].reshape(5, 2, 2, 4), cells.roll(1, 3))
    assert LayoutEmbedding(3, 0, with_mean=True).out_channels == 3
    with pytest.raises(ValueError, match='leaves nothing'):
        LayoutEmbedding(3, 0)


def test_default_layout_is_784_numbers():
    task = SpatialAlignmentTask()
    assert task.layout.out_channels == 784
    assert task.head.hidden[0].in_features == 256 + 784
    assert [f.in_features for f in task.head.factors] == [256, 784]
    assert task.head.out[1].in_features == 2 * 512
    assert task.head.out[0].p == 0.5


def test_fusion_head_is_one_hidden_layer():
    head = FusionHead((2, 3), 4, hidden_channels=6).eval()
    a, b = torch.randn(5, 2), torch.randn(5, 3)
    first, last = head.hidden[0], head.out[1]
    hidden = torch.cat([a, b], 1) @ first.weight.t() + first.bias
    torch.testing.assert_close(
        head(a, b), hidden.clamp_min(0) @ last.weight.t() + last.bias)


def test_fusion_head_with_products():
    head = FusionHead((2, 3), 1, hidden_channels=6, products=2).eval()
    a, b = torch.randn(5, 2), torch.randn(5, 3)
    last = head.out[1]
    hidden = head.hidden(torch.cat([a, b], 1))
    product = head.factors[0](a) * head.factors[1](b)
    torch.testing.assert_close(
        head(a, b),
        hidden @ last.weight[:, :6].t() + product @ last.weight[:, 6:].t() +
        last.bias)


# Which sound and which label is used how.


def features(n=6):
    maps = {
        name: torch.randn(n, 32, 2, 3)
        for name in ('clip', 'rotated', 'shifted', 'flipped')
    }
    return Encoded(torch.randn(n, 64, 2, 4), **maps)


@pytest.mark.parametrize('make, false', [
    (planted.spatial, 'rotated'), (planted.foreground, 'shifted')])
def test_binary_scores_the_clip_against_the_false_sound(make, false):
    cfg = make()
    cls = dict(spatial=SpatialAlignmentTask,
               foreground=ForegroundAlignmentTask)[make.__name__]
    cfg.pop('type')
    task, views = cls(**cfg).eval(), features()
    image = task.layout(views.images)
    scores = [
        task.head(views.sounds[name].mean((2, 3)), image)[:, 0]
        for name in ('clip', false)
    ]
    expected = binary_matching(*scores)
    got = task.loss(views)
    torch.testing.assert_close(got, expected)
    assert task.query_views == ('clip', false)


def test_heading_is_a_cross_entropy_over_turns():
    task = SpatialAlignmentTask(
        'heading', 32, planted.LAYOUT, hidden_channels=8).eval()
    assert task.query_views == ('rotated', )
    views = features()
    logits = task.head(views.sounds['rotated'].mean((2, 3)),
                       task.layout(views.images)).detach()
    chances = torch.softmax(logits.double(), 1).numpy()
    # A turn by -1 is one by 3: mirrored scenes come with negated labels.
    got = task.loss(views, labelled(rotation=[0, 1, 2, 3, -1, -3]))
    classes = [0, 1, 2, 3, 3, 1]
    assert math.isclose(
        got['loss'].item(), log_loss(classes, chances, labels=range(4)),
        rel_tol=1e-5)
    assert math.isclose(got['accuracy'],
                        accuracy_score(classes, chances.argmax(1)),
                        rel_tol=1e-6)
    with pytest.raises(ValueError, match='rotation=4.* 4 headings'):
        task.loss(views, labelled(rotation=[0, 1, 2, 3, 4, 0]))


@pytest.mark.parametrize('variant, classes', [
    ('classes', [0, 1, 2, 0, 1, 2]),
    ('ordinal', [0, 1, 2, 0, 1, 2]),
    ('signed', [3, 4, 5, 2, 1, 0]),
])
def test_gap_classes(variant, classes):
    cfg = planted.gap(variant)
    cfg.pop('type')
    task, views = TemporalGapTask(**cfg).eval(), features()
    gaps = [1, 2, 3, -1, -2, -3]
    assert [task.class_of(g) for g in gaps] == classes
    first, second = (views.sounds[v].mean((2, 3)) for v in ('clip', 'shifted'))
    logits = task.head(first, second, (first - second).abs()).detach()
    got = task.loss(views, labelled(gap=gaps))
    if variant == 'ordinal':
        expected = ordinal_loss(logits, torch.tensor(classes)).item()
        found = ordinal_class(logits)
    else:
        chances = torch.softmax(logits.double(), 1).numpy()
        expected = log_loss(
            classes, chances, labels=range(chances.shape[1]))
        found = chances.argmax(1)
    assert math.isclose(got['loss'].item(), expected, rel_tol=1e-5)
    assert math.isclose(got['accuracy'], accuracy_score(classes, found),
                        rel_tol=1e-6)


@pytest.mark.parametrize('gap', [0, 4, -4])
def test_gaps_without_a_class_are_refused(gap):
    task = TemporalGapTask(max_gap=3, audio_channels=32)
    with pytest.raises(ValueError, match=f'gap={gap}.*1 to 3 clip lengths'):
        task.loss(features(2), labelled(gap=[1, gap]))


def test_missing_labels_are_explained():
    task = TemporalGapTask(max_gap=3, audio_channels=32)
    for samples in (None, [], [DataSample()], labelled(rotation=[1])):
        with pytest.raises(ValueError, match='reads the field "gap"'):
            task.loss(features(1), samples)


def test_ears_are_swapped_whole():
    power = torch.arange(2.).reshape(1, 2, 1, 1)
    assert swap_ears(power).flatten().tolist() == [1, 0]
    # Real and imaginary part of the left ear, then those of the right one.
    parts = torch.arange(4.).reshape(1, 4, 1, 1)
    assert swap_ears(parts).flatten().tolist() == [2, 3, 0, 1]
    with pytest.raises(ValueError, match='1 channels.*needs binaural'):
        swap_ears(power[:, :1])


@pytest.mark.parametrize('make, kwargs, message', [
    (SpatialAlignmentTask, dict(variant='fliped'), 'no variant "fliped".*fl'),
    (ForegroundAlignmentTask, dict(variant='nce'), 'one of binary, margin'),
    (TemporalGapTask, dict(variant=''), 'one of classes, signed, ordinal'),
    (SpatialAlignmentTask, dict(visual=dict(channels=0, with_mean=True)),
     'forgets where things are'),
    (SpatialAlignmentTask, dict(headings=1), 'headings=1'),
    (ForegroundAlignmentTask, dict(margin=3.), r'margin=3.0.*\(0, 2\]'),
    (TemporalGapTask, dict(max_gap=1), 'max_gap=1'),
])
def test_unusable_settings_are_explained(make, kwargs, message):
    with pytest.raises(ValueError, match=message):
        make(**kwargs)


# Inside MultiSSL.


def all_three(**kwargs):
    return planted.build(
        spatial=planted.spatial(),
        foreground=planted.foreground(),
        gap=planted.gap(),
        **kwargs)


def test_every_view_is_encoded_once_for_all_tasks():
    model, seen = all_three().train(), Counter()
    views, samples = planted.batch(4)
    # Foreground and frame must be two tensors to be told apart.
    views['foreground'] = views['foreground'].clone()
    names = {id(view): name for name, view in views.items()}
    for module in (model.backbone, model.companions['visual']):
        module.register_forward_pre_hook(
            lambda _, x: seen.update([names[id(x[0])]]))
    losses = model.loss(views, samples)
    assert seen == Counter(views.keys())
    assert set(losses) == {
        f'{task}.{key}' for task in ('spatial', 'foreground', 'gap')
        for key in ('loss', 'accuracy')}
    total, log = model.parse_losses(losses)
    assert math.isclose(
        total.item(), sum(losses[f'{task}.loss'].item()
                          for task in ('spatial', 'foreground', 'gap')),
        rel_tol=1e-6)
    assert 0 <= log['gap.accuracy'] <= 1


@pytest.mark.parametrize('make, variant', VARIANTS, ids=NAMES)
def test_every_parameter_gets_a_gradient(make, variant):
    # What distributed training needs, and that nothing is idle.
    model = planted.build(**{make.__name__: make(variant)}).train()
    loss, _ = model.parse_losses(model.loss(*planted.batch(8)))
    loss.backward()
    lacking = [name for name, p in model.named_parameters()
               if p.grad is None]
    assert not lacking
    assert model.backbone.conv1.conv.weight.grad.abs().sum() > 0
    if make is not planted.gap:
        assert model.companions['visual'].conv1.weight.grad.abs().sum() > 0


def test_several_tasks_add_their_gradients():
    tasks = dict(
        spatial=planted.spatial(), foreground=planted.foreground(),
        gap=planted.gap())
    together = planted.build(**tasks).double().eval()
    views, samples = planted.batch(4)
    views = {name: view.double() for name, view in views.items()}
    together.parse_losses(together.loss(views, samples))[0].backward()
    total = 0.
    for name, cfg in tasks.items():
        alone = planted.build(**{name: cfg}).double().eval()
        alone.load_state_dict({
            key: value for key, value in together.state_dict().items()
            if key in alone.state_dict()
        })
        alone.parse_losses(alone.loss(views, samples))[0].backward()
        total = total + alone.backbone.conv1.conv.weight.grad
    torch.testing.assert_close(together.backbone.conv1.conv.weight.grad, total,
                               rtol=1e-9, atol=1e-12)


def test_equal_ears_cannot_be_told_from_swapped_ones():
    model = planted.build(spatial=planted.spatial('flip')).eval()
    views, samples = planted.batch(8)
    assert 'flipped' not in views
    views['clip'] = views['clip'].mean(1, keepdim=True).expand(-1, 2, -1, -1)
    assert model.loss(views, samples)['spatial.accuracy'] == 0.5
    assert 'flipped' not in views


def test_flip_sees_the_clip_with_its_ears_swapped():
    model = planted.build(spatial=planted.spatial('flip')).eval()
    seen = []
    model.backbone.register_forward_pre_hook(lambda _, x: seen.append(x[0]))
    views, samples = planted.batch(4)
    model.loss(views, samples)
    assert len(seen) == 2
    assert torch.equal(seen[0], views['clip'])
    assert torch.equal(seen[1][:, 0], views['clip'][:, 1])
    assert torch.equal(seen[1][:, 1], views['clip'][:, 0])


def test_companions_and_tasks_must_fit():
    from mmmultissl.models import MultiSSL
    build = dict(backbone=planted.BACKBONE)
    with pytest.raises(ValueError,
                       match='"a" reads the companion "visual".* none'):
        MultiSSL(tasks=dict(a=planted.spatial()), **build)
    with pytest.raises(ValueError, match='"eyes", but there is visual'):
        MultiSSL(tasks=dict(a=planted.spatial(companion='eyes')),
                 companions=dict(visual=planted.VISUAL), **build)
    with pytest.raises(ValueError, match='No task reads the companion visual'):
        MultiSSL(tasks=dict(a=planted.gap()),
                 companions=dict(visual=planted.VISUAL), **build)
    model = MultiSSL(tasks=dict(a=planted.spatial()),
                     companions=dict(visual=planted.VISUAL), **build)
    views, samples = planted.batch(2)
    for view in ('frame', 'rotated'):
        some = {k: v for k, v in views.items() if k != view}
        with pytest.raises(ValueError, match=f'"a" reads the view "{view}"'):
            model.loss(some, samples)
    flip = MultiSSL(tasks=dict(a=planted.spatial('flip')),
                    companions=dict(visual=planted.VISUAL), **build)
    with pytest.raises(ValueError, match='"a" reads the view "clip"'):
        flip.loss(dict(frame=views['frame']), samples)


def test_what_is_kept_is_the_backbone_alone():
    model = all_three()
    tops = {key.split('.')[0] for key in model.state_dict()}
    assert tops == {'backbone', 'companions', 'tasks'}
    kept = planted.MultiSSL(
        planted.BACKBONE, dict(gap=planted.gap())).backbone
    kept.load_state_dict({
        key[len('backbone.'):]: value
        for key, value in model.state_dict().items()
        if key.startswith('backbone.')
    })


def test_other_backbones_serve():
    for backbone in (dict(type='mmmultissl.Conv2D10', base_channels=4),
                     dict(
                         type='mmmultissl.SpectrogramAdapter',
                         backbone=dict(
                             type='mmpretrain.ResNet',
                             depth=18,
                             stem_channels=4,
                             base_channels=4))):
        # Both have 32 channels at their end.
        model = planted.build(
            backbone, spatial=planted.spatial(), gap=planted.gap()).train()
        losses = model.loss(*planted.batch(4))
        assert all(torch.isfinite(value) for value in losses.values())


def test_contrastive_tasks_work_on_sound_too():
    neck = dict(
        type='mmpretrain.MoCoV2Neck', in_channels=32, hid_channels=16,
        out_channels=8, with_avg_pool=True)
    moco = dict(
        type='mmmultissl.MoCoV2Task', neck=neck, queue_len=16, feat_dim=8,
        query_view='clip', key_view='shifted')
    model = planted.build(
        moco=moco, spatial=planted.spatial()).train()
    losses = model.loss(*planted.batch(8))
    assert losses['moco.loss'] > 0 and 'spatial.accuracy' in losses
    assert not any('companions' in key for key in
                   model.momentum['ema0'].state_dict())


# Two processes. Batch norm apart, they compute what one computes.

_STEPS = 3
_NO_BN = dict(planted.BACKBONE, norm_cfg=dict(type='GN', num_groups=4))


def ddp_model():
    torch.manual_seed(0)
    model = planted.build(
        _NO_BN, spatial=planted.spatial(), foreground=planted.foreground(),
        gap=planted.gap()).double().train()
    model.data_preprocessor = Untouched()
    return model


def ddp_train(model, first, last):
    from mmengine.optim import OptimWrapper
    optimizer = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.01))
    torch.manual_seed(7)
    for _ in range(_STEPS):
        views, samples = planted.batch(8)
        data = dict(
            inputs={k: v[first:last].double() for k, v in views.items()},
            data_samples=samples[first:last])
        model.train_step(data, optimizer)


def ddp_work(rank, port, folder):
    import os

    import torch.distributed as dist
    from mmengine.model import MMDistributedDataParallel
    torch.set_num_threads(1)
    init_default_scope('mmpretrain')
    os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port))
    dist.init_process_group('gloo', rank=rank, world_size=2)
    model = ddp_model()
    ddp_train(MMDistributedDataParallel(model), 4 * rank, 4 * rank + 4)
    torch.save(model.state_dict(), folder / f'{rank}.pth')
    leave_processes()


@pytest.mark.slow
def test_two_gloo_processes_equal_one(tmp_path):
    torch.multiprocessing.spawn(ddp_work, (free_port(), tmp_path), nprocs=2)
    model = ddp_model()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    ddp_train(model, 0, 8)
    for rank in range(2):
        state = torch.load(tmp_path / f'{rank}.pth')
        for key, value in model.state_dict().items():
            torch.testing.assert_close(state[key], value, rtol=0, atol=1e-9)
    changed = [k for k in before
               if not torch.equal(before[k], model.state_dict()[k])]
    assert {k.split('.')[0] for k in changed} == {
        'backbone', 'companions', 'tasks'}


# What can be learnt is learnt, and is not without its cue.


def fit(make, variant='', steps=120, **data):
    cfg = make(variant) if variant else make()
    model = planted.build(**{make.__name__: cfg}).train()
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    for _ in range(steps):
        loss, _ = model.parse_losses(model.loss(*planted.batch(32, **data)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()


@torch.no_grad()
def accuracy(model, views, samples):
    found, = (float(value) for key, value in model.loss(views, samples).items()
              if key.endswith('accuracy'))
    return found


@pytest.mark.slow
@pytest.mark.parametrize('make, variant', VARIANTS, ids=NAMES)
def test_every_variant_learns_its_planted_cue(make, variant):
    data = {}
    if variant == 'heading':
        data = dict(rotations=(0, 1, 2, 3))
    if variant == 'flip':
        # Ahead and behind, swapped ears hear the same.
        data = dict(directions=(1, 3))
    # Gaps are learnt more slowly than whether two things agree.
    steps = 350 if variant == 'signed' else 250 if make is planted.gap else 120
    model = fit(make, variant, steps, **data)
    assert accuracy(model, *planted.batch(256, **data)) > 0.9


@pytest.mark.slow
@pytest.mark.parametrize('make', [planted.spatial, planted.foreground])
def test_without_their_pictures_sounds_are_matched_by_chance(make):
    model = fit(make)
    views, samples = planted.batch(512)
    assert accuracy(model, views, samples) > 0.9
    order = torch.randperm(512)
    for view in ('frame', 'foreground'):
        views[view] = views[view][order]
    assert abs(accuracy(model, views, samples) - 0.5) < 0.06


@pytest.mark.slow
def test_the_gaps_of_others_are_found_by_chance():
    model = fit(planted.gap, steps=250)
    views, samples = planted.batch(512)
    assert accuracy(model, views, samples) > 0.9
    order = torch.randperm(512)
    samples = [samples[i] for i in order]
    assert abs(accuracy(model, views, samples) - 1 / planted.MAX_GAP) < 0.06
