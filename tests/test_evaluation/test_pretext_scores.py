# Copyright (c) mmmultissl contributors. All rights reserved.
"""Pretext tasks judged on samples they are not trained on."""
import pytest
import torch
from mmengine.registry import init_default_scope
from torch import nn

from mmmultissl.evaluation import PretextScores, pretext_scores
from mmmultissl.models import MultiSSL
from mmmultissl.models.tasks import PretextTask
from mmmultissl.registry import MODELS


@MODELS.register_module()
class ShareOfOnesTask(PretextTask):
    """Logs the share of ones in a view, as an accuracy."""

    query_views = ('view0', )

    def loss(self, views, data_samples=None):
        share = views.query('view0')[0].mean()
        return dict(loss=1 - share, accuracy=share)


@MODELS.register_module()
class AsItIs(nn.Module):
    """A trunk without weights."""

    def forward(self, x):
        return (x, )


@MODELS.register_module()
class AsTheyAre(nn.Module):
    """A preprocessor that asks whether it is training."""

    def forward(self, data, training):
        assert not training
        return data


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmpretrain')


def batch(*values):
    return dict(
        inputs=dict(view0=torch.tensor(values).view(-1, 1, 1, 1)),
        data_samples=[None] * len(values))


def test_every_sample_counts_alike():
    model = MultiSSL(
        backbone=dict(type='mmmultissl.AsItIs'),
        tasks=dict(ones=dict(type='mmmultissl.ShareOfOnesTask')))
    model.data_preprocessor = AsTheyAre()
    metric = PretextScores()
    for data in (batch(1., 1., 0., 0.), batch(1.)):
        metric.process(data, model.val_step(data))
    assert metric.evaluate(5) == {
        'ones.loss': pytest.approx(.4), 'ones.accuracy': pytest.approx(.6)}


def test_batches_of_several_processes_are_refused(monkeypatch):
    """Which of their samples only fill up a process's share is not known."""
    monkeypatch.setattr(pretext_scores, 'get_world_size', lambda: 2)
    metric = PretextScores()
    metric.process({}, [dict(batch_size=1, accuracy=1.)])
    with pytest.raises(ValueError, match='test with one process, or set'):
        metric.process({}, [dict(batch_size=2, accuracy=1.)])


def test_a_task_with_a_memory_is_refused():
    model = MultiSSL(
        backbone=dict(type='mmpretrain.ResNet', depth=18),
        tasks=dict(
            moco=dict(
                type='mmmultissl.MoCoV2Task',
                queue_len=8,
                neck=dict(
                    type='mmpretrain.MoCoV2Neck',
                    in_channels=512,
                    hid_channels=8,
                    out_channels=128))))
    before = model.tasks['moco'].queue.keys.clone()
    with pytest.raises(ValueError, match='task moco fills a memory'):
        model.val_step(dict(inputs=[], data_samples=[]))
    torch.testing.assert_close(model.tasks['moco'].queue.keys, before)
