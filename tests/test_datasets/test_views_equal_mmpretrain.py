# Copyright (c) mmmultissl contributors. All rights reserved.
"""The fast views are mmpretrain's: the same draws, the same pixels."""
import copy
import pickle
import random
import warnings
from pathlib import Path

import cv2
import mmcv
import numpy as np
import pytest
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.registry import TRANSFORMS, DefaultScope
from PIL import Image, ImageFilter
from scipy import stats

from mmmultissl.datasets.transforms import MultiView, drawn_view
from mmmultissl.datasets.transforms import pillow_arithmetic as fast

CONFIGS = Path(__file__).parents[2] / 'configs'
GREY = (0.114, 0.587, 0.2989)


@pytest.fixture(autouse=True)
def scope():
    with DefaultScope.overwrite_default_scope('mmpretrain'), \
            warnings.catch_warnings():
        # mmcv's adjust_color and Pillow's mode argument.
        warnings.simplefilter('ignore')
        yield


def pictures(count, height=90, width=120):
    """Coloured blobs of all sizes with some noise, as photographs have."""
    rng = np.random.RandomState(3)
    for _ in range(count):
        image = np.zeros((height, width, 3), np.float32)
        for cells in (2, 4, 9, 20, 45):
            layer = rng.rand(cells, cells, 3).astype(np.float32)
            image += cv2.resize(
                layer, (width, height), interpolation=cv2.INTER_CUBIC)
        image += rng.normal(0, 0.1, image.shape)
        image -= image.min()
        yield (image * (255 / image.max())).astype(np.uint8)


def difference(ours, theirs):
    """Histogram of absolute differences, and the mean signed one."""
    signed = np.concatenate([(a.astype(int) - b).ravel()
                             for a, b in zip(ours, theirs)])
    counts = np.bincount(np.abs(signed), minlength=2)
    return counts / len(signed), signed.mean()


def grey_of_mmcv(image):
    transform = mmcv.transforms.RandomGrayscale(
        prob=1., keep_channels=True, channel_weights=GREY)
    return transform(dict(img=image))['img']


def blur_of_pillow(image, sigma):
    return np.array(
        Image.fromarray(image).filter(ImageFilter.GaussianBlur(sigma)))


def with_pillow(adjust):
    return lambda image, factor: adjust(image, factor, backend='pillow')


@pytest.mark.parametrize(
    'ours, theirs, low, high, largest, share',
    [
        (fast.adjust_brightness, mmcv.adjust_brightness, 0, 3, 0, 0),
        # The mean may be rounded the other way.
        (fast.adjust_contrast, mmcv.adjust_contrast, 0, 2, 1, 0.05),
        (fast.adjust_saturation, mmcv.adjust_color, 0, 2, 1, 0.001),
        # Where a hue lies on the border of two of its 255 steps.
        (fast.adjust_hue, mmcv.adjust_hue, -0.5, 0.5, 6, 0.004),
    ])
def test_jitter_equals_pillow(ours, theirs, low, high, largest, share):
    theirs = with_pillow(theirs)
    images = list(pictures(12))
    images += [np.full((8, 8, 3), level, np.uint8) for level in (0, 7, 255)]
    images.append(np.random.randint(0, 256, (64, 64, 3), np.uint8))
    factors = [low, high, *np.random.uniform(low, high, 6)]
    pairs = [(ours(i, f), theirs(i, f)) for i in images for f in factors]
    counts, bias = difference(*zip(*pairs))
    assert len(counts) - 1 <= max(largest, 1)
    assert 1 - counts[0] <= share
    assert abs(bias) <= share


def test_grey_equals_mmcv():
    images = list(pictures(6))
    counts, _ = difference([fast.to_grey(i, GREY) for i in images],
                           [grey_of_mmcv(i) for i in images])
    assert len(counts) == 2 and counts[1] < 0.005


# Round deviations give round weights, and these ties, which go either way.
@pytest.mark.parametrize('sigma', [0.13, 0.41, 0.93, 1.37, 1.53, 1.97, 4.31])
def test_blur_equals_pillow(sigma):
    images = list(pictures(6))
    counts, bias = difference([fast.gaussian_blur(i, sigma) for i in images],
                              [blur_of_pillow(i, sigma) for i in images])
    assert len(counts) == 2 and counts[1] < 1e-3
    assert abs(bias) < 1e-3


@pytest.mark.parametrize('sigma', [0.1, 0.7, 1., 2., 5.])
def test_three_boxes_have_the_variance(sigma):
    kernel = fast.box_kernel(sigma)
    offsets = np.arange(len(kernel)) - len(kernel) // 2
    assert kernel.sum() == pytest.approx(1)
    assert 3 * (kernel * offsets**2).sum() == pytest.approx(sigma**2)
    assert (kernel >= 0).all() and kernel[0] <= kernel[1]


@pytest.mark.parametrize('shape', [(40, 30), (90, 120), (33, 110), (90, 45)])
def test_resize_equals_pillow(shape):
    images = [image[:shape[0], :shape[1]] for image in pictures(4)]
    theirs = [
        np.array(Image.fromarray(i).resize((45, 50), Image.BILINEAR))
        for i in images
    ]
    counts, _ = difference([fast.resize(i, (50, 45)) for i in images], theirs)
    assert len(counts) == 2 and counts[1] < 0.01


def test_nothing_writes_into_its_argument():
    image = next(pictures(1))
    before = image.copy()
    image.flags.writeable = False
    fast.adjust_brightness(image, 1.3)
    fast.adjust_contrast(image, 0.7)
    fast.adjust_saturation(image, 1.3)
    fast.adjust_hue(image, 0.1)
    fast.to_grey(image, GREY)
    fast.gaussian_blur(image, 1.)
    same_size = fast.resize(image, image.shape[:2])
    assert np.array_equal(same_size, before)
    same_size[:] = 0
    assert np.array_equal(image, before)


def shipped(size=64):
    """The view pipelines of the shipped config and of mmpretrain."""
    cfg = Config.fromfile(CONFIGS / '_base_/datasets/imagenet_two_views.py')
    ours = cfg.view_pipeline.copy()
    theirs = copy.deepcopy(list(ours))
    for step in [*theirs, *theirs[1].transforms]:
        step.type = step.type.replace('mmmultissl.', '')
    # What was taken from the names must be mmpretrain's own file again.
    stock = get_config('mmpretrain::_base_/datasets/imagenet_bs32_mocov2.py')
    plain = Config(dict(v=theirs)).to_dict()['v']
    assert without_scope(plain) == without_scope(
        stock.to_dict()['view_pipeline'])
    for pipeline in (ours, theirs):
        pipeline[0].scale = size
    return ours, theirs


def without_scope(node):
    if isinstance(node, dict):
        return {
            k: without_scope(v)
            for k, v in node.items() if k != '_scope_'
        }
    if isinstance(node, (list, tuple)):
        return [without_scope(v) for v in node]
    return node


def seed(number):
    random.seed(number)
    np.random.seed(number)


def state():
    return pickle.dumps((random.getstate(), np.random.get_state()))


def test_same_seeds_give_the_same_views():
    """160 views: every draw equal, pixels equal to the last levels."""
    ours, theirs = map(Compose, shipped())
    made, stock = [], []
    for number, image in enumerate(pictures(80)):
        for view in range(2):
            seed(2 * number + view)
            made.append(ours(dict(img=image))['img'])
            after = state()
            seed(2 * number + view)
            stock.append(theirs(dict(img=image))['img'])
            assert state() == after
    assert all(view.flags.c_contiguous for view in made)
    counts, bias = difference(made, stock)
    assert len(counts) - 1 <= 10
    assert counts[1:].sum() < 0.08 and counts[2:].sum() < 0.01
    assert abs(bias) < 0.01
    # Pixel statistics over the draws, in levels of 255.
    made, stock = (np.stack(v).astype(float) for v in (made, stock))
    axes = (1, 2)
    assert np.abs(made.mean(axes) - stock.mean(axes)).max() < 0.5
    assert np.abs(made.mean((0, 1, 2)) - stock.mean((0, 1, 2))).max() < 0.01
    assert np.abs(made.std((0, 1, 2)) - stock.std((0, 1, 2))).max() < 0.01
    histograms = [
        np.histogram(v, 256, (0, 256))[0] / v.size for v in (made, stock)
    ]
    assert np.abs(np.subtract(*histograms)).sum() / 2 < 0.002


def test_other_settings_are_mmpretrains_code():
    image = next(pictures(1))
    for kind, options in [
        ('RandomResizedCrop', dict(scale=40)),
        ('RandomResizedCrop', dict(scale=40, backend='pillow',
                                   interpolation='bicubic')),
        ('ColorJitter', dict(brightness=0.4, hue=0.1, backend='cv2')),
        ('RandomGrayscale', dict(prob=1., keep_channels=False)),
        ('RandomFlip', dict(prob=[0.4, 0.4],
                            direction=['horizontal', 'vertical'])),
    ]:
        results = []
        for scope in ('mmmultissl.', 'mmpretrain.'):
            transform = TRANSFORMS.build(dict(type=scope + kind, **options))
            seed(1)
            results.append([
                transform(dict(img=image.copy()))['img'] for _ in range(5)
            ])
        for ours, theirs in zip(*results):
            assert np.array_equal(ours, theirs)


def test_flip_turns_boxes_too():
    flip = TRANSFORMS.build(dict(type='mmmultissl.RandomFlip', prob=1.))
    found = flip(
        dict(
            img=next(pictures(1)),
            img_shape=(90, 120),
            gt_bboxes=np.array([[10., 20., 30., 40.]])))
    assert found['gt_bboxes'].tolist() == [[90., 20., 110., 40.]]
    assert found['flip'] and found['flip_direction'] == 'horizontal'


class Blacken:
    """Writes into the image it is given."""

    def __call__(self, results):
        results['img'][:] = 0
        return results


def test_a_view_cannot_spoil_the_next():
    image = next(pictures(1))
    views = MultiView(
        transforms=[[Blacken()], []], num_views=[1, 2])(dict(img=image))['img']
    assert not views[0].any()
    assert views[1].any() and np.array_equal(views[1], views[2])


def deferred(views=2, size=16):
    ours, _ = shipped(size)
    return MultiView(transforms=[ours], num_views=views, defer=True)


def test_deferred_views_draw_the_same_numbers():
    ours, _ = shipped(32)
    now = MultiView(transforms=[ours], num_views=2)
    later = MultiView(transforms=[ours], num_views=2, defer=True)
    for number, image in enumerate(pictures(10)):
        seed(number)
        now(dict(img=image))
        after = state()
        seed(number)
        results = later(dict(img=image))
        assert state() == after
        assert len(results['drawn']) == 2
        assert results['drawn'][0].shape == (drawn_view.LENGTH, )


def test_numbers_have_mocos_distribution():
    """Against the definitions, not against mmpretrain's code."""
    image = np.zeros((20, 30, 3), np.uint8)
    pipeline = deferred(views=2000)
    rows = np.stack(pipeline(dict(img=image))['drawn'])
    factors = rows[:, drawn_view.FACTORS]
    jittered = factors[:, 0] != 1
    for share, wanted in [
        (jittered, 0.8), (rows[:, drawn_view.GREY].any(1), 0.2),
        (rows[:, drawn_view.SIGMA] > 0, 0.5), (rows[:, drawn_view.FLIP], 0.5)
    ]:
        assert stats.binomtest(int(share.sum()), 2000, wanted).pvalue > 1e-3
    for factor in factors[jittered, :3].T:
        assert stats.kstest(factor, stats.uniform(0.6, 0.8).cdf).pvalue > 1e-3
    # Whole steps, cut off towards zero: -25 to 25, 0 twice as often.
    steps = (factors[jittered, 3] + 128) % 256 - 128
    expected = np.full(51, 1 / 51)
    expected = np.where(np.arange(-25, 26) == 0, 2., 1.)
    expected[[0, -1]] = 0.5
    found = np.bincount(steps.astype(int) + 25, minlength=51)
    assert stats.chisquare(
        found, expected * len(steps) / expected.sum()).pvalue > 1e-3
    orders = [''.join(map(str, o.astype(int)))
              for o in rows[jittered, drawn_view.ORDER]]
    _, found = np.unique(orders, return_counts=True)
    assert len(found) == 24 and stats.chisquare(found).pvalue > 1e-3
    sigma = rows[:, drawn_view.SIGMA]
    assert stats.kstest(sigma[sigma > 0],
                        stats.uniform(0.1, 1.9).cdf).pvalue > 1e-3


def test_what_cannot_be_deferred_is_refused():
    crop, jitter, grey, blur, flip = shipped(16)[0]
    with pytest.raises(ValueError, match='Blacken comes after it'):
        MultiView([[crop, jitter, Blacken(), blur]], 1, defer=True)
    with pytest.raises(ValueError, match='cannot defer ColorJitter after'):
        MultiView([[crop, grey, jitter]], 1, defer=True)
    with pytest.raises(ValueError, match='cannot defer GaussianBlur after'):
        MultiView([[crop, blur, blur]], 1, defer=True)
    stock = dict(type='mmpretrain.GaussianBlur', radius=1.)
    with pytest.raises(ValueError, match='GaussianBlur comes after it'):
        MultiView([[crop, jitter, stock]], 1, defer=True)
    # Settings that only mmpretrain's own code knows are done at once.
    for step, changes in [(grey, dict(keep_channels=False)),
                          (flip, dict(prob=[1.], direction=['vertical']))]:
        with pytest.raises(ValueError, match='comes after it'):
            MultiView([[crop, jitter, dict(step, **changes)]], 1, defer=True)
    # What comes before is done before.
    MultiView([[crop, Blacken(), jitter, grey, blur, flip]], 1, defer=True)
    MultiView([[crop, Blacken()]], 1, defer=True)
