# Copyright (c) mmmultissl contributors. All rights reserved.
import pytest
import torch
from mmengine.model import BaseModel
from mmpretrain.models import ResNet
from mmpretrain.structures import DataSample
from torch import nn

from mmmultissl.evaluation.svm import (FrozenEncoder, extract_features,
                                       extract_stages, pool_features)


def test_2x2_is_mmselfsups_at_7x7():
    feature = torch.randn(2, 5, 7, 7)
    expected = nn.AvgPool2d(6, stride=1)(feature).flatten(1)
    assert expected.shape == (2, 20)
    torch.testing.assert_close(pool_features(feature, '2x2'), expected)


def test_pools():
    feature = torch.arange(6.).view(1, 1, 2, 3)
    assert pool_features(feature, 'avg').tolist() == [[2.5]]
    # Windows of 1 x 2.
    assert pool_features(feature, '2x2').tolist() == [[0.5, 1.5, 3.5, 4.5]]
    vectors = torch.randn(3, 4)
    assert pool_features(vectors, 'avg') is vectors
    assert pool_features(feature.half(), 'avg').dtype == torch.float32


@pytest.mark.parametrize('stage, side, kernel, stride', [
    (0, 56, 16, 8), (1, 28, 13, 5), (2, 14, 8, 3), (3, 7, 6, 1)])
def test_grid_is_mmselfsups_and_vissls_at_224_pixels(stage, side, kernel,
                                                     stride):
    feature = torch.randn(2, 3, side, side)
    expected = nn.AvgPool2d(kernel, stride)(feature).flatten(1)
    found = pool_features(feature, 'grid', stage)
    torch.testing.assert_close(found, expected)
    # Other sizes give as many numbers.
    for other in (side - 1, side + 5):
        feature = torch.randn(2, 3, other, other)
        assert pool_features(feature, 'grid', stage).shape == found.shape


@pytest.mark.parametrize('stage', [None, 4])
def test_grid_needs_a_resnets_stage(stage):
    with pytest.raises(ValueError, match='stages 0 to 3 of a ResNet'):
        pool_features(torch.zeros(1, 2, 7, 7), 'grid', stage)


@pytest.mark.parametrize('shape, pool, words', [
    ((1, 2, 1, 4), '2x2', 'at least 2x2, but the backbone gives 1x4'),
    ((1, 2), '2x2', 'needs a map'),
    ((1, 2, 3), 'avg', 'needs a map'),
    ((1, 2, 3, 3), 'max', 'pool is one of'),
])
def test_bad_pools(shape, pool, words):
    with pytest.raises(ValueError, match=words):
        pool_features(torch.zeros(shape), pool)


class _Model(BaseModel):

    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2))

    def forward(self, inputs):
        return self.backbone(inputs)


class _Loader:
    """Hands out given rows, as a sampler of several processes would."""

    def __init__(self, images, batches):
        self.dataset, self.batches = images, batches

    def __iter__(self):
        for rows in self.batches:
            samples = [
                DataSample(
                    metainfo=dict(sample_idx=row, img_path=f'{row}.jpg'))
                for row in rows
            ]
            yield dict(inputs=self.dataset[rows], data_samples=samples)


def test_order_repeats_and_mode():
    torch.manual_seed(0)
    model, images = _Model().train(), torch.randn(5, 1, 3, 3)
    done = []
    one = extract_features(model, _Loader(images, [[0, 1, 2, 3, 4]]))
    other = extract_features(
        model, _Loader(images, [[4, 2], [0, 3], [1, 4]]), progress=done.append)
    torch.testing.assert_close(one, other)
    assert done == [2, 2, 2]
    # In evaluation mode, and as it was afterwards.
    assert model.training
    assert model.backbone[1].num_batches_tracked == 0
    expected = model.eval()(images).mean((2, 3)).detach()
    torch.testing.assert_close(one, expected)


def test_bad_features_are_named():
    model, images = _Model(), torch.randn(3, 1, 2, 2)
    with pytest.raises(RuntimeError, match='1 images were not handed out'):
        extract_features(model, _Loader(images, [[0, 2]]))
    images[1] = float('nan')
    with pytest.raises(ValueError, match='nan or inf, first for "1.jpg"'):
        extract_features(model, _Loader(images, [[0, 1, 2]]))


def test_every_stage_in_one_pass():
    torch.manual_seed(0)
    backbone = ResNet(18, base_channels=4, stem_channels=4)
    calls = []
    backbone.register_forward_hook(lambda *args: calls.append(1))
    encoder = FrozenEncoder(
        backbone, dict(type='mmpretrain.ClsDataPreprocessor'))
    encoder.eval()
    images = torch.randint(0, 255, (4, 3, 64, 64)).float()
    loader = _Loader(images, [[0, 1], [2, 3]])
    found = extract_stages(encoder, loader, 'avg', 'all')
    assert len(calls) == 2
    assert list(found) == ['stage0', 'stage1', 'stage2', 'stage3']
    assert backbone.out_indices == (3, )
    last = extract_features(encoder, loader)
    torch.testing.assert_close(last, found['stage3'])
    backbone.out_indices = (0, 1, 2, 3)
    pixels = encoder.data_preprocessor(dict(inputs=images))['inputs']
    for name, output in zip(found, backbone(pixels)):
        torch.testing.assert_close(found[name],
                                   output.mean((2, 3)).detach())
    some = extract_stages(encoder, loader, 'grid', [2, 1])
    assert {name: x.shape[1] for name, x in some.items()} == {
        'stage1': 16 * 8, 'stage2': 9 * 16}
    with pytest.raises(ValueError, match='ResNet has the stages 0 to 3'):
        extract_stages(encoder, loader, 'avg', [4])


def test_stages_of_a_backbone_without_numbers():
    model, images = _Model(), torch.randn(3, 1, 2, 2)
    loader = _Loader(images, [[0, 1, 2]])
    assert list(extract_stages(model, loader)) == ['last']
    with pytest.raises(ValueError, match='Sequential does not say'):
        extract_stages(model, loader, stages='all')
