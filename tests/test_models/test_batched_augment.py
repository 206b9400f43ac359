# Copyright (c) mmmultissl contributors. All rights reserved.
"""What the device makes of deferred views is what the workers would make."""
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import default_collate
from mmengine.registry import MODELS, TRANSFORMS, DefaultScope
from torch.utils._python_dispatch import TorchDispatchMode

from mmmultissl.datasets import SeededDataset
from mmmultissl.datasets.transforms import drawn_view
from mmmultissl.datasets.transforms import pillow_arithmetic as fast
from mmmultissl.models.data_preprocessors import batched_augment as batched

CONFIGS = Path(__file__).parents[2] / 'configs'
# What needs a value of the device on the host.
WAITING = {'_local_scalar_dense', 'nonzero', 'masked_select', 'equal'}


@pytest.fixture(autouse=True)
def scope():
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        yield


def pictures(count, size=48):
    """Coloured blobs of several sizes with some noise."""
    rng = np.random.RandomState(3)
    found = []
    for _ in range(count):
        image = rng.normal(0, 0.1, (size, size, 3)).astype(np.float32)
        for cells in (2, 4, 9, 20):
            image += cv2.resize(
                rng.rand(cells, cells, 3).astype(np.float32), (size, size),
                interpolation=cv2.INTER_CUBIC)
        image -= image.min()
        found.append((image * (255 / image.max())).astype(np.uint8))
    return found


def to_batch(images):
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float()


def to_images(batch):
    assert torch.equal(batch, batch.round())
    assert batch.min() >= 0 and batch.max() <= 255
    return batch.permute(0, 2, 3, 1).numpy().astype(int)


def assert_close(batch, images, largest, share):
    """At most so many levels apart, and so many numbers apart at all."""
    apart = np.abs(to_images(batch) - np.stack(images).astype(int))
    assert apart.max() <= largest
    assert (apart > 0).mean() <= share


@pytest.mark.parametrize('number, adjust, low, high, largest, share', [
    (0, fast.adjust_brightness, 0, 2, 1, 1e-3),
    (1, fast.adjust_contrast, 0, 2, 1, 0.02),
    (2, fast.adjust_saturation, 0, 2, 1, 1e-3),
])
def test_blends_equal_the_workers(number, adjust, low, high, largest, share):
    images = pictures(12)
    order = torch.tensor([range(4)] * 12)
    factors = torch.tensor([[1., 1., 1., 0.]] * 12, dtype=torch.float64)
    factors[:, number] = torch.linspace(low, high, 12)
    found = batched.jitter(to_batch(images), order, factors)
    wanted = [
        adjust(image, factor)
        for image, factor in zip(images, factors[:, number].tolist())
    ]
    assert_close(found, wanted, largest, share)


def test_hue_equals_pillow():
    """Pillow itself, for all steps and for greys."""
    images = pictures(12) + [np.full((48, 48, 3), 90, np.uint8)]
    steps = torch.arange(len(images)) * 20
    found = batched.turn_hue(to_batch(images), steps.view(-1, 1, 1).float())
    wanted = [
        fast.adjust_hue(image, step / 255 + 1e-9) if step <= 127 else
        fast.adjust_hue(image, (step - 256) / 255 - 1e-9)
        for image, step in zip(images, steps.tolist())
    ]
    assert_close(found, wanted, 6, 0.01)


def test_order_is_each_images_own():
    images = pictures(24, 16)
    rng = np.random.RandomState(0)
    order = torch.tensor(np.stack([rng.permutation(4) for _ in images]))
    factors = torch.tensor(
        np.c_[rng.uniform(0.6, 1.4, (24, 3)), rng.randint(0, 256, 24)])
    found = batched.jitter(to_batch(images), order, factors)
    alone = torch.cat([
        batched.jitter(to_batch([image]), order[i:i + 1], factors[i:i + 1])
        for i, image in enumerate(images)
    ])
    assert torch.equal(found, alone)
    # And order matters.
    other = batched.jitter(to_batch(images), order.flip(1), factors)
    assert (other - found).abs().max() > 10


def test_grey_and_flip_touch_the_chosen_only():
    images = pictures(4)
    batch = to_batch(images)
    weights = torch.zeros(4, 3, dtype=torch.float64)
    weights[1] = torch.tensor([0.114, 0.587, 0.2989])
    grey = batched.to_grey(batch, weights)
    assert torch.equal(grey[[0, 2, 3]], batch[[0, 2, 3]])
    wanted = fast.to_grey(images[1], (0.114, 0.587, 0.2989))
    assert_close(grey[1:2].expand(1, 3, 48, 48), [wanted], 1, 0.005)
    turned = batched.flip(batch, torch.tensor([0., 1., 0., 0.]))
    assert torch.equal(turned[1], batch[1].flip(-1))
    assert torch.equal(turned[[0, 2, 3]], batch[[0, 2, 3]])


def test_blur_equals_the_workers():
    images = pictures(6)
    sigmas = torch.tensor([0., 0.13, 0.83, 1.53, 1.97, 0.],
                          dtype=torch.float64)
    batch = to_batch(images)
    found = batched.gaussian_blur(batch, sigmas)
    assert torch.equal(found[[0, 5]], batch[[0, 5]])
    wanted = [
        fast.gaussian_blur(i, s) if s else i
        for i, s in zip(images, sigmas.tolist())
    ]
    assert_close(found, wanted, 1, 0.002)
    # Not square.
    tall = batched.gaussian_blur(batch[:, :, :, :20], sigmas)
    wanted = [
        fast.gaussian_blur(i[:, :20], s) if s else i[:, :20]
        for i, s in zip(images, sigmas.tolist())
    ]
    assert_close(tall, wanted, 1, 0.002)


def test_three_boxes_keep_the_mean_and_have_the_variance():
    sigmas = torch.tensor([0.5, 1.2, 2.])
    box = batched.box_matrices(sigmas, 41, torch.device('cpu')).double()
    assert torch.allclose(box.sum(2), torch.ones(3, 41).double())
    offsets = torch.arange(41.).double() - 20
    variance = ((box @ box @ box)[:, 20] * offsets**2).sum(1)
    assert torch.allclose(variance, sigmas.double()**2, rtol=1e-5)


class Images:
    """A dataset of pictures behind a pipeline."""

    def __init__(self, images, pipeline):
        self.images = images
        self.pipeline = [TRANSFORMS.build(step) for step in pipeline]

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        results = dict(img=self.images[index])
        for step in self.pipeline:
            results = step(results)
        return results


def both_ways(count=32, size=32):
    """The shipped views of the same samples, finished here and there."""
    cfg = Config.fromfile(CONFIGS / '_base_/datasets/imagenet_two_views.py')
    found = []
    for defer in (False, True):
        pipeline = cfg.train_pipeline[1:].copy()
        pipeline[0].transforms[0][0].scale = size
        pipeline[0].defer = defer
        kind = 'mmmultissl.DeferredViews' if defer else \
            cfg.data_preprocessor.type
        preprocessor = MODELS.build(dict(cfg.data_preprocessor, type=kind))
        data = SeededDataset(Images(pictures(count), pipeline), seed=4)
        batch = default_collate([data[i, 0] for i in range(count)])
        found.append((preprocessor, batch))
    return found


def test_both_ways_give_the_same_batch():
    """Not alike in distribution only: the same views of the same samples."""
    (plain, done), (deferred, cut) = both_ways()
    assert cut['drawn'].shape == (32, 2, drawn_view.LENGTH)
    state = torch.get_rng_state()
    wanted, found = plain(done, True), deferred(cut, True)
    assert torch.equal(torch.get_rng_state(), state)
    assert len(found['data_samples']) == 32
    std = plain.std
    for theirs, ours in zip(wanted['inputs'], found['inputs']):
        assert ours.dtype == torch.float32 and ours.shape == theirs.shape
        levels = ((ours - theirs) * std).abs()
        assert levels.max() < 8.5
        assert (levels > 0.5).float().mean() < 0.02
        assert (levels > 1.5).float().mean() < 0.005
        assert (ours.mean((0, 2, 3)) - theirs.mean((0, 2, 3))).abs().max() \
            < 1e-3
        assert (ours.std((0, 2, 3)) - theirs.std((0, 2, 3))).abs().max() < 1e-3
    # The batch is left as it came.
    assert cut['inputs'][0].dtype == torch.uint8 and 'drawn' in cut


def test_mixed_precision_changes_nothing():
    _, (deferred, cut) = both_ways(6)
    wanted = deferred(cut, True)['inputs']
    with torch.autocast('cpu', dtype=torch.bfloat16):
        found = deferred(cut, True)['inputs']
    assert all(map(torch.equal, found, wanted))


class Recorder(TorchDispatchMode):
    """Operators that read a tensor of the views and would wait for it."""

    def __init__(self, host_types):
        super().__init__()
        self.host_types, self.waits = host_types, []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        if name in WAITING and args[0].dtype not in self.host_types:
            self.waits.append(name)
        return func(*args, **(kwargs or {}))


def test_the_device_is_not_waited_for():
    """What is decided on the host is decided from float64, int64 and bool."""
    _, (deferred, cut) = both_ways(8)
    with Recorder({torch.float64, torch.int64, torch.bool}) as recorder:
        deferred(cut, True)
    assert recorder.waits == []
    with Recorder(set()) as recorder:
        deferred(cut, True)
    assert 'nonzero' in recorder.waits


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_a_gpu_gives_the_same_and_does_not_wait():
    (plain, done), (deferred, cut) = both_ways()
    wanted = plain(done, True)['inputs']
    deferred = deferred.cuda()
    deferred(cut, True)
    cut['inputs'] = [view.pin_memory() for view in cut['inputs']]
    torch.cuda.set_sync_debug_mode('error')
    try:
        found = deferred(cut, True)['inputs']
    finally:
        torch.cuda.set_sync_debug_mode('default')
    for theirs, ours in zip(wanted, found):
        levels = ((ours.cpu() - theirs) * plain.std).abs()
        assert (levels > 1.5).float().mean() < 0.005


def test_views_that_were_not_deferred_are_refused():
    (_, done), (deferred, _) = both_ways(2)
    with pytest.raises(KeyError, match='set defer=True'):
        deferred(done, True)
