# Copyright (c) mmmultissl contributors. All rights reserved.
"""Heads of retrieval, S3R and semantic prediction: values, and learning."""
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.optim import OptimWrapper
from mmpretrain.structures import DataSample
from sklearn.metrics import log_loss
from sklearn.utils.class_weight import compute_sample_weight

from mmmultissl.evaluation.binaural import (RetrievalRecall, S3RDistance,
                                            SemanticIoU)
from mmmultissl.models import (BinauralDownstream, OmniAudioNet, RetrievalHead,
                               S3RHead, SemanticHead)
from mmmultissl.models.downstream import semantic_head
from tests.test_models import planted

LENGTH = 3200  # samples; 257 x 21 spectrograms


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def figures(metric, samples):
    metric.process(None, [sample.to_dict() for sample in samples])
    return metric.evaluate(len(samples))


# Retrieval


def test_retrieval_loss_by_loops():
    head = RetrievalHead(
        6, dict(in_channels=4, channels=0, with_mean=True), 5, 0.3).eval()
    features = (torch.randn(3, 6, 2, 4), )
    inputs = dict(frame_features=(torch.randn(3, 4, 2, 2), ))
    sounds, frames = head.embed(features, inputs)
    for units in (sounds, frames):
        torch.testing.assert_close(units.norm(dim=1), torch.ones(3))
    s, f = sounds.detach().double().numpy(), frames.detach().double().numpy()
    scores = np.exp(s @ f.T / 0.3)
    expected = np.mean([
        -0.5 * math.log(scores[k, k] / scores[k].sum()) -
        0.5 * math.log(scores[k, k] / scores[:, k].sum()) for k in range(3)
    ])
    got = head.loss(features, inputs)
    assert got['loss'].item() == pytest.approx(expected, rel=1e-5)
    assert got['accuracy'].item() == pytest.approx(
        (scores.argmax(1) == np.arange(3)).mean())
    samples = head.predict(features, inputs)
    assert torch.equal(samples[1].sound_embedding, sounds[1])
    assert torch.equal(samples[2].frame_embedding, frames[2])
    # Linear in the standardised mean: no layer but one.
    assert sum(p.dim() == 2 for p in head.parameters()) == 2


def test_retrieval_without_companion_is_explained():
    model = BinauralDownstream(
        dict(planted.BACKBONE),
        dict(type='mmmultissl.RetrievalHead', audio_channels=32))
    with pytest.raises(ValueError, match='set model.companion to an encoder'):
        model(dict(clip=torch.randn(2, 2, 64, 16)), mode='loss')
    with pytest.raises(ValueError, match='temperature=0'):
        RetrievalHead(temperature=0)


def train(model, batch, steps, lr):
    model.init_weights()
    model.train()
    optimizer = OptimWrapper(torch.optim.Adam(model.parameters(), lr=lr))
    for _ in range(steps):
        inputs, samples = batch()
        losses = model(inputs, samples, mode='loss')
        optimizer.update_params(model.parse_losses(losses)[0])
    model.eval()
    with torch.no_grad():
        return losses, model(*batch(), mode='predict')


@pytest.mark.slow
def test_retrieval_learns_planted_scenes():
    model = BinauralDownstream(
        dict(planted.BACKBONE),
        dict(
            type='mmmultissl.RetrievalHead',
            audio_channels=32,
            visual=planted.LAYOUT,
            out_channels=32),
        frozen=False,
        companion=dict(planted.VISUAL))
    _, samples = train(model, lambda: planted.batch(48), 120, 2e-3)
    for number, sample in enumerate(samples):
        for name, value in (('recording_id', number), ('start', 0)):
            sample.set_field(value, name, field_type='metainfo')
    got = figures(RetrievalRecall(['all']), samples)
    # 32 different scenes; several of the batch are the same one.
    assert got['retrieval/all/sound-to-frame_R@5'] > 80
    assert got['retrieval/all/frame-to-sound_R@5'] > 80
    assert got['retrieval/all/chance_R@5'] < 11


# S3R


def s3r_inputs(count=4, gains=((0.5, 1.), (0.2, 0.7), (1., 0.3))):
    """Other headings hear each ear with a gain of its own."""
    source = 0.1 * torch.randn(count, 2, LENGTH)
    others = torch.cat([
        source * torch.tensor(gain)[:, None] for gain in gains
    ], 1)
    return dict(clip_waveform=source, others_waveform=others)


def small_s3r(**kwargs):
    return S3RHead(32, (16, 8, 8, 8), **{'hidden_channels': 8, **kwargs})


def test_s3r_decoder_mirrors_the_encoder():
    net = OmniAudioNet(base_channels=8, dilations=(1, 2, 3)).eval()
    head = small_s3r().eval()
    for frames in (201, 101, 37, 16):
        spectrograms = torch.randn(1, 2, 257, frames)
        feature = net(spectrograms)[-1]
        assert head.masks(feature, (257, frames)).shape == (1, 3, 2, 257,
                                                            frames)
    # The map needs no resizing: it is of the size that the decoder expects.
    assert tuple(feature.shape[2:]) == (16, 1)
    assert sum(isinstance(m, torch.nn.ConvTranspose2d)
               for m in head.modules()) == 4


def test_s3r_that_predicts_nothing_is_the_copy_baseline():
    head = small_s3r().eval()  # as it starts
    inputs, features = s3r_inputs(), (torch.randn(4, 32, 16, 1), )
    assert head.loss(features, inputs)['relative_error'].item() == 1
    samples = head.predict(features, inputs)
    for sample, source in zip(samples, inputs['clip_waveform']):
        torch.testing.assert_close(sample.pred_waves,
                                   source.expand(3, -1, -1))
    got = figures(S3RDistance(), samples)
    for name in ('stft', 'env'):
        assert got[f's3r/{name}'] == pytest.approx(got[f's3r/copy_{name}'])


def test_s3r_predicts_in_mixed_precision():
    head, inputs = small_s3r().eval(), s3r_inputs()
    torch.nn.init.normal_(head.out.weight, std=.1)
    feature = torch.randn(4, 32, 16, 1)
    exact = head.predict((feature, ), inputs)
    with torch.autocast('cpu', torch.bfloat16):
        rounded = head.predict((feature.bfloat16(), ), inputs)
    for mine, other in zip(rounded, exact):
        assert mine.pred_waves.dtype == torch.float32
        scale = other.pred_waves.abs().max().item()
        torch.testing.assert_close(mine.pred_waves, other.pred_waves,
                                   rtol=0, atol=.02 * scale)
        assert not torch.equal(mine.pred_waves, mine.source_waves.expand(
            3, -1, -1))


def test_s3r_with_the_true_mask_is_perfect():
    head, inputs = small_s3r(), s3r_inputs()
    features = (torch.randn(4, 32, 16, 1), )
    gains = torch.tensor([[0.5, 1.], [0.2, 0.7], [1., 0.3]])

    def true_masks(feature_map, size):
        mask = (1 - gains)[..., None, None].to(torch.complex64)
        return mask.expand(len(feature_map), 3, 2, *size)

    head.masks = true_masks
    assert head.loss(features, inputs)['loss'] < 1e-12
    for number, sample in enumerate(head.predict(features, inputs)):
        torch.testing.assert_close(
            sample.target_waves.flatten(0, 1),
            inputs['others_waveform'][number])
        torch.testing.assert_close(
            sample.pred_waves, sample.target_waves, atol=1e-5, rtol=1e-4)


def test_s3r_masks_are_bounded():
    head = small_s3r(mask_bound=3., hidden_channels=0)
    torch.nn.init.constant_(head.out.bias, 50.)
    masks = head.masks(torch.randn(2, 32, 16, 1), (257, 21))
    parts = torch.view_as_real(masks)
    assert parts.max() == 3 and parts.abs().max() == 3


@pytest.mark.parametrize('hidden_channels', [0, 8])
def test_s3r_learns_the_gains(hidden_channels):
    head = small_s3r(hidden_channels=hidden_channels).train()
    optimizer = torch.optim.Adam(head.parameters(), lr=1e-2)
    features = (torch.ones(4, 32, 16, 1), )
    for _ in range(60):
        losses = head.loss(features, s3r_inputs())
        optimizer.zero_grad()
        losses['loss'].backward()
        optimizer.step()
    got = figures(S3RDistance(), head.predict(features, s3r_inputs()))
    assert got['s3r/stft'] < 0.2 * got['s3r/copy_stft']
    assert got['s3r/env'] < 0.5 * got['s3r/copy_env']


def test_s3r_settings_are_explained():
    features, inputs = (torch.randn(2, 32, 16, 1), ), s3r_inputs(2)
    with pytest.raises(ValueError, match='set model.head.targets=3'):
        small_s3r(targets=1).loss(features, inputs)
    with pytest.raises(ValueError, match='keep_waveforms=True'):
        small_s3r().loss(features, {})
    with pytest.raises(ValueError, match="mode='complex'"):
        small_s3r(spectrogram=dict(type='mmmultissl.Spectrogram'))
    with pytest.raises(ValueError, match='give 4 widths'):
        S3RHead(channels=(8, 8))


# Semantic prediction


def planted_labels(count):
    """Two classes at eight azimuths, told by the mean of the map."""
    place = torch.randint(8, (count, ))
    kind = torch.randint(2, (count, ))
    code = torch.cat([F.one_hot(place, 8), F.one_hot(kind, 2)], 1).float()
    feature = code[..., None, None].expand(-1, -1, 4, 3)
    labels = torch.zeros(count, 16, 32, dtype=torch.uint8)
    for n in range(count):
        column = 4 * int(place[n])
        labels[n, 4:12, column:column + 4] = int(kind[n]) + 1
    return (feature + 0.05 * torch.randn(count, 10, 4, 3), ), dict(
        labels=labels)


def test_semantic_head_learns_where_and_what():
    head = SemanticHead(2, 10, 32, stride=2, sounding_weight=1.).train()
    optimizer = torch.optim.Adam(head.parameters(), lr=1e-2)
    for _ in range(300):
        optimizer.zero_grad()
        head.loss(*planted_labels(16))['loss'].backward()
        optimizer.step()
    head.eval()
    got = figures(SemanticIoU(2), head.predict(*planted_labels(64)))
    assert got['semantic/foreground/mIoU'] > 80
    assert got['semantic/all/mIoU'] > 70 > 20 > got[
        'semantic/all/constant_mIoU']


def test_without_place_a_shift_of_the_map_shifts_the_answer():
    feature = torch.zeros(1, 10, 4, 16)
    feature[..., 6:8] = torch.randn(1, 10, 4, 2)
    head = SemanticHead(2, 10, 8, stride=2, with_place=False).eval()
    before = head((feature, ), (8, 32))
    after = head((feature.roll(2, 3), ), (8, 32))
    torch.testing.assert_close(before[..., 8:20], after[..., 12:24])


def test_with_place_the_convolutions_go_around(monkeypatch):
    """Turning the places turns the answer, past the border too."""
    head = SemanticHead(2, 10, 8, stride=1).eval()
    # The same at all times, or it would have to be turned along.
    feature = torch.randn(1, 10, 1, 1).expand(-1, -1, 4, 16)
    before = head((feature, ), (8, 32))
    places = semantic_head._places
    monkeypatch.setattr(semantic_head, '_places',
                        lambda *args: places(*args).roll(5, 2))
    after = head((feature, ), (8, 32))
    torch.testing.assert_close(after, before.roll(5, 3))
    assert (after - before).abs().max() > 1e-3


def test_semantic_loss_has_the_weights_of_the_authors_code():
    head = SemanticHead(3, 10, 8).eval()
    features, inputs = planted_labels(5)
    inputs['labels'][:, 0] = 255
    labels = inputs['labels'].flatten().numpy()
    judged = labels != 255
    chances = head(features, (16, 32)).detach().double().softmax(1).permute(
        0, 2, 3, 1).reshape(-1, 4).numpy()
    share = np.bincount(labels[judged], minlength=4) / judged.sum()
    weights = np.where(share > 0, 2 - share, 1) * [1, 7, 7, 7]
    expected = log_loss(
        labels[judged],
        chances[judged],
        sample_weight=compute_sample_weight(
            dict(enumerate(weights)), labels[judged]),
        labels=range(4))
    got = head.loss(features, inputs)
    assert got['loss'].item() == pytest.approx(expected, rel=1e-5)
    right = chances[judged].argmax(1) == labels[judged]
    assert got['accuracy'].item() == pytest.approx(right.mean())


def test_semantic_weights_given():
    head = SemanticHead(
        2, 10, 8, class_weight=(1., 2., 3.), sounding_weight=1.)
    counts = torch.tensor([5, 1, 0])
    assert head._weights(counts).tolist() == [1, 2, 3]
    head = SemanticHead(2, 10, 8, class_weight=None, sounding_weight=2.)
    assert head._weights(counts).tolist() == [1, 2, 2]


def test_semantic_settings_are_explained():
    features, inputs = planted_labels(2)
    with pytest.raises(ValueError, match='labels go up to 2, but .* 1 class'):
        inputs['labels'][0, 0, 0] = 2
        SemanticHead(1, 10, 8).loss(features, inputs)
    with pytest.raises(ValueError, match='add it to the views'):
        SemanticHead(2, 10, 8).loss(features, {})
    with pytest.raises(ValueError, match='2 class weights for 2 classes'):
        SemanticHead(2, class_weight=(1., 2.))
    with pytest.raises(ValueError, match="class_weight='batches'"):
        SemanticHead(2, class_weight='batches')


def test_predictions_keep_the_batch_samples():
    features, inputs = planted_labels(2)
    samples = [DataSample(), DataSample()]
    got = SemanticHead(2, 10, 8).eval().predict(features, inputs, samples)
    assert got[0] is samples[0]
    assert torch.equal(got[1].gt_labels, inputs['labels'][1])
    assert got[1].pred_labels.dtype == torch.uint8
