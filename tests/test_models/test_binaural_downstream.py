# Copyright (c) mmmultissl contributors. All rights reserved.
"""The downstream model, and the heads of sound events and azimuths."""
import math

import pytest
import torch
import torch.nn.functional as F
from mmengine.optim import OptimWrapper
from mmpretrain.structures import DataSample
from torch import nn

from mmmultissl.engine.checkpoint import check_pretrained
from mmmultissl.evaluation.binaural import AzimuthError
from mmmultissl.models import (AzimuthHead, BinauralDownstream, EventHead,
                               MultiSSL)
from mmmultissl.registry import MODELS
from tests.test_models import planted

CHANNELS = 32  # of planted.BACKBONE


@MODELS.register_module(force=True)
class RecordingHead(nn.Module):
    """Keeps what it is given; the loss is its weight times the mean."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def loss(self, features, inputs, data_samples):
        self.seen = features, inputs, data_samples
        total = features[-1].mean()
        if 'frame_features' in inputs:
            total = total + inputs['frame_features'][-1].mean()
        return dict(loss=self.weight * total)

    def predict(self, features, inputs, data_samples):
        self.seen = features, inputs, data_samples
        return data_samples


def build(head=None, **kwargs):
    model = BinauralDownstream(
        dict(planted.BACKBONE),
        head or dict(type='mmmultissl.RecordingHead'), **kwargs)
    model.init_weights()
    return model.train()


def state_of(module):
    return {key: value.clone() for key, value in module.state_dict().items()}


def unequal(module, before):
    return {key for key, value in module.state_dict().items()
            if not torch.equal(value, before[key])}


def step(model, inputs, samples=None, lr=0.1):
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    losses = model(inputs, samples, mode='loss')
    OptimWrapper(optimizer).update_params(model.parse_losses(losses)[0])


@pytest.fixture
def inputs():
    views, _ = planted.batch(4)
    return views


def test_frozen_backbone_stays_bit_for_bit(inputs):
    model = build()
    before = state_of(model)
    step(model, inputs)
    # Batch norm's statistics are among what could have changed.
    assert unequal(model, before) == {'head.weight'}
    assert not model.backbone.training and model.head.training
    assert all(p.grad is None for p in model.backbone.parameters())
    assert not model.head.seen[0][-1].requires_grad


def test_fine_tuning_changes_weights_and_statistics(inputs):
    model = build(frozen=False)
    before = state_of(model)
    step(model, inputs)
    changed = unequal(model, before)
    assert 'backbone.conv1.conv.weight' in changed
    assert 'backbone.conv1.bn.running_mean' in changed
    model.eval()
    assert not model.backbone.training


def test_modes_and_what_heads_are_given(inputs):
    model = build().eval()
    samples = [DataSample() for _ in range(4)]
    features = model(inputs)
    assert [tuple(x.shape) for x in features] == [(4, CHANNELS, 4, 1)]
    assert torch.equal(features[-1], model.backbone(inputs['clip'])[-1])
    assert model(inputs, samples, mode='predict') is samples
    seen_features, seen_inputs, seen_samples = model.head.seen
    assert torch.equal(seen_features[-1], features[-1])
    assert seen_inputs is inputs and seen_samples is samples
    with pytest.raises(ValueError, match="mode='train'; give loss"):
        model(inputs, mode='train')


def test_channels_last_is_the_same_model(inputs):
    model = build().eval()
    other = build(channels_last=True).eval()
    other.load_state_dict(model.state_dict())
    weight = other.backbone.conv2.conv.weight
    assert weight.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(other(inputs), model(inputs))


def test_other_view():
    views, _ = planted.batch(4)
    model = build(view='shifted').eval()
    assert torch.equal(model(views)[-1], model.backbone(views['shifted'])[-1])
    with pytest.raises(ValueError, match='reads the view "shifted", but the '
                       'batch has clip: add it'):
        model(dict(clip=views['clip']))
    with pytest.raises(ValueError, match='a single tensor.*leave "only"'):
        model(views['clip'])


@pytest.mark.parametrize('frozen', [False, True])
def test_companion_is_encoded_and_trained_unless_frozen(inputs, frozen):
    model = build(
        companion=dict(planted.VISUAL, norm_cfg=dict(type='BN')),
        companion_frozen=frozen)
    before = state_of(model)
    step(model, inputs)
    _, seen, _ = model.head.seen
    assert 'frame_features' not in inputs
    assert seen['frame_features'][-1].shape == (4, 64, 2, 4)
    changed = {key.split('.')[0] for key in unequal(model, before)}
    assert changed == ({'head'} if frozen else {'head', 'companion'})


def test_backbone_of_a_multi_ssl_checkpoint(tmp_path, inputs):
    torch.manual_seed(1)
    source = planted.build(gap=planted.gap())
    assert isinstance(source, MultiSSL)
    torch.save(dict(state_dict=source.state_dict()), tmp_path / 'a.pth')

    def make(**changes):
        init = dict(type='Pretrained', checkpoint=str(tmp_path / 'a.pth'),
                    prefix='backbone.')
        return BinauralDownstream(
            {**planted.BACKBONE, 'init_cfg': init, **changes},
            dict(type='mmmultissl.RecordingHead'))

    model = make()
    check_pretrained(model)
    model.init_weights()
    source.eval()
    assert torch.equal(
        model.eval()(inputs)[-1], source.backbone(inputs['clip'])[-1])
    with pytest.raises(RuntimeError, match='conv1.conv.weight'):
        check_pretrained(make(base_channels=12))


def samples_of(azimuths=(), labels=()):
    samples = []
    for number in range(max(len(azimuths), len(labels))):
        sample = DataSample()
        fields = dict(recording=f'r{number}', start=0)
        if len(azimuths):
            fields['azimuth'] = azimuths[number]
        for name, value in fields.items():
            sample.set_field(value, name, field_type='metainfo')
        if len(labels):
            sample.set_gt_label(labels[number])
        samples.append(sample)
    return samples


def test_event_head_is_cross_entropy_on_standardised_means():
    head = EventHead(num_classes=3, in_channels=5)
    maps, labels = 7 + 3 * torch.randn(6, 5, 4, 3), [0, 1, 2, 2, 1, 0]
    losses = head.train().loss((maps, ), {}, samples_of(labels=labels))
    means = maps.mean((2, 3))
    vectors = (means - means.mean(0)) / (means.var(0, correction=0) +
                                         1e-5).sqrt()
    logits = F.linear(vectors, head.classifier.fc.weight,
                      head.classifier.fc.bias)
    torch.testing.assert_close(
        losses['loss'], F.cross_entropy(logits, torch.tensor(labels)))
    right = (logits.argmax(1) == torch.tensor(labels)).float().mean()
    torch.testing.assert_close(losses['accuracy'], right)
    predicted = head.eval().predict((maps, ), {}, samples_of(labels=labels))
    assert all(p.pred_score.shape == (3, ) for p in predicted)
    assert predicted[1].gt_label.item() == 1


def test_event_head_wants_classes():
    head = EventHead(num_classes=3, in_channels=5)
    with pytest.raises(ValueError, match='clip of r0 at sample 0 has no '
                       'class'):
        head.loss((torch.randn(2, 5, 4, 3), ), {}, samples_of([0., 1.]))
    with pytest.raises(ValueError, match='class number 3 .* has 3 classes'):
        head.loss((torch.randn(2, 5, 4, 3), ), {}, samples_of(labels=[3, 1]))
    with pytest.raises(ValueError, match='in_channels=5.*(2, 4, 4, 3)'):
        head.loss((torch.randn(2, 4, 4, 3), ), {}, samples_of(labels=[0, 1]))


def constant_azimuth_head(sin, cos):
    head = AzimuthHead(in_channels=4).eval()
    with torch.no_grad():
        head.direction[0].weight.zero_()
        head.direction[0].bias.copy_(torch.tensor([sin, cos]))
    return head


def test_azimuth_head_by_hand():
    # Half a unit vector to the left.
    head = constant_azimuth_head(0.5, 0.)
    maps = torch.randn(4, 4, 2, 2)
    samples = samples_of([90., 0., -90., math.nan])
    losses = head.loss((maps, ), {}, samples)
    expected = (0.5**2 + (0.5**2 + 1) + 1.5**2) / 3
    assert losses['loss'].item() == pytest.approx(expected)
    assert losses['error'].item() == pytest.approx((0 + 90 + 180) / 3)
    predicted = head.predict((maps, ), {}, samples)
    assert [p.pred_azimuth for p in predicted] == pytest.approx([90.] * 4)
    assert [p.pred_lateral for p in predicted] == pytest.approx([30.] * 4)
    far = constant_azimuth_head(-1.2, 0.1)
    first = far.predict((maps, ), {}, samples)[0]
    assert first.pred_lateral == pytest.approx(-90)


def test_azimuth_error_goes_around_the_back():
    head = constant_azimuth_head(
        math.sin(math.radians(175)), math.cos(math.radians(175)))
    losses = head.loss((torch.randn(1, 4, 2, 2), ), {}, samples_of([-175.]))
    assert losses['error'].item() == pytest.approx(10, abs=1e-3)


def test_azimuths_are_not_rounded_in_mixed_precision():
    head = constant_azimuth_head(0., 1.)
    with torch.autocast('cpu', torch.bfloat16):
        losses = head.loss((torch.randn(1, 4, 2, 2), ), {},
                           samples_of([137.3]))
    assert losses['error'].item() == pytest.approx(137.3, abs=1e-3)
    radians = math.radians(137.3)
    head = constant_azimuth_head(math.sin(radians), math.cos(radians))
    with torch.autocast('cpu', torch.bfloat16):
        sample, = head.predict((torch.randn(1, 4, 2, 2).bfloat16(), ), {},
                               samples_of([0.]))
    assert sample.pred_azimuth == pytest.approx(137.3, abs=1e-3)


def test_unknown_azimuths_have_no_gradient():
    head = AzimuthHead(in_channels=4)
    maps = torch.randn(2, 4, 2, 2)
    head.loss((maps, ), {}, samples_of([math.nan] * 2))['loss'].backward()
    gradients = [p.grad for p in head.parameters()]
    assert all(g is not None and not g.any() for g in gradients)


def test_best_constant_answer_is_the_mean_direction():
    """The least squares of unit vectors: its length says how sure it is."""
    azimuths = [10., 10., 10., 170.]
    head = AzimuthHead(in_channels=4).eval()
    with torch.no_grad():
        head.direction[0].weight.zero_()
    maps = torch.zeros(4, 4, 2, 2)
    optimizer = torch.optim.SGD([head.direction[0].bias], lr=0.2)
    for _ in range(50):
        optimizer.zero_grad()
        head.loss((maps, ), {}, samples_of(azimuths))['loss'].backward()
        optimizer.step()
    radians = torch.tensor(azimuths).deg2rad()
    torch.testing.assert_close(
        head.direction[0].bias.detach(),
        torch.stack([radians.sin().mean(), radians.cos().mean()]))


def planted_clips(size, noise=0.3):
    azimuth = torch.rand(size) * 360 - 180
    band = torch.randint(planted.BANDS, (size, ))
    clip = planted.spectrogram(azimuth / 90, band, noise)
    return dict(clip=clip), samples_of(azimuth.tolist(), band.tolist())


def learn(model, steps, size=32, lr=3e-3):
    optimizer = torch.optim.Adam(
        [p for p in model.parameters() if p.requires_grad], lr=lr)
    for _ in range(steps):
        losses = model(*planted_clips(size), mode='loss')
        optimizer.zero_grad()
        losses['loss'].backward()
        optimizer.step()
    return model.eval()


def test_azimuth_is_learnt_and_needs_both_ears():
    model = learn(
        build(dict(type='mmmultissl.AzimuthHead', in_channels=CHANNELS),
              frozen=False), 250)

    @torch.no_grad()
    def judge(alter=lambda clip: clip):
        views, samples = planted_clips(500)
        predicted = model(
            dict(clip=alter(views['clip'])), samples, mode='predict')
        metric = AzimuthError()
        metric.process(None, [p.to_dict() for p in predicted])
        return metric.evaluate(500)

    figures = judge()
    assert figures['azimuth/error'] < 20
    assert figures['azimuth/lateral_error'] < 15
    assert figures['azimuth/left_right_accuracy'] > 95
    assert figures['azimuth/front_back_confusions'] < 15
    mono = judge(lambda clip: clip.mean(1, keepdim=True).expand_as(clip))
    assert 35 < mono['azimuth/left_right_accuracy'] < 65


@pytest.mark.parametrize('frozen, least', [(True, 0.7), (False, 0.95)])
def test_sound_events_are_learnt(frozen, least):
    head = dict(type='mmmultissl.EventHead', num_classes=planted.BANDS,
                in_channels=CHANNELS)
    model = learn(build(head, frozen=frozen), 150)
    views, samples = planted_clips(300)
    with torch.no_grad():
        predicted = model(views, samples, mode='predict')
    right = [p.pred_label.item() == p.gt_label.item() for p in predicted]
    # Guessing is right once in eight.
    assert sum(right) / len(right) > least
