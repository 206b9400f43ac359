# Copyright (c) mmmultissl contributors. All rights reserved.
"""Models of mmpretrain and their MultiSSL counterparts, with equal state."""
import copy

import torch
from mmengine.logging import MessageHub
from mmpretrain.models import BYOL, BarlowTwins, DenseCL, MoCo, SimSiam
from mmpretrain.registry import MODELS as MMPRETRAIN_MODELS

from mmmultissl.models import MultiSSL

QUEUE, DIM, SIZE, BATCH = 64, 16, 64, 4
# A ResNet-18 of a quarter of the width.
TRUNK = dict(
    type='mmpretrain.ResNet',
    depth=18,
    stem_channels=16,
    base_channels=16,
    norm_cfg=dict(type='BN'))
WIDTH = 128
BN_FREE_TRUNK = dict(TRUNK, norm_cfg=dict(type='GN', num_groups=8))
HEAD = dict(
    type='mmpretrain.ContrastiveHead',
    loss=dict(type='mmpretrain.CrossEntropyLoss'),
    temperature=0.2)
MOCO_NECK = dict(
    type='mmpretrain.MoCoV2Neck',
    in_channels=WIDTH,
    hid_channels=32,
    out_channels=DIM,
    with_avg_pool=True)
DENSE_NECK = dict(
    type='mmpretrain.DenseCLNeck',
    in_channels=WIDTH,
    hid_channels=32,
    out_channels=DIM,
    num_grid=None)


def peer_moco(trunk=TRUNK):
    """mmpretrain's MoCo v2."""
    return MoCo(trunk, MOCO_NECK, HEAD, QUEUE, DIM, momentum=0.001)


def peer_densecl(trunk=TRUNK):
    """mmpretrain's DenseCL."""
    return DenseCL(
        trunk, DENSE_NECK, HEAD, QUEUE, DIM, momentum=0.001, loss_lambda=0.5)


def moco_task(**kwargs):
    """Config of our MoCo v2."""
    return dict(
        type='mmmultissl.MoCoV2Task',
        neck=MOCO_NECK,
        queue_len=QUEUE,
        feat_dim=DIM,
        **kwargs)


def densecl_task(**kwargs):
    """Config of our DenseCL."""
    return dict(
        type='mmmultissl.DenseCLTask',
        neck=DENSE_NECK,
        queue_len=QUEUE,
        feat_dim=DIM,
        **kwargs)


def logits_loss():
    """Config of InfoNCE through mmpretrain's own head."""
    return dict(type='mmmultissl.LogitInfoNCE', head=HEAD)


def take_state(ours, name, peer):
    """Give a task of ours, and the trunk, the state of mmpretrain's model."""
    ours.backbone.load_state_dict(peer.backbone.state_dict())
    task = ours.tasks[name]
    task.neck.load_state_dict(peer.neck.state_dict())
    task.queue.keys.copy_(peer.queue)
    if hasattr(peer, 'queue2'):
        task.dense_queue.keys.copy_(peer.queue2)


def batches(steps, dtype=torch.float32, size=SIZE, batch=BATCH):
    """Pairs of views, seeded; both views of an image are alike."""
    generator = torch.Generator().manual_seed(7)
    for _ in range(steps):
        image = torch.randn(
            batch, 3, size, size, dtype=dtype, generator=generator)
        noise = torch.randn(
            2, batch, 3, size, size, dtype=dtype, generator=generator)
        yield [image + 0.3 * noise[0], image + 0.3 * noise[1]]


def train(model, data, seed=0, lr=0.03):
    """Train by SGD and give the loss of every step."""
    model.train()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(
        trained, lr=lr, momentum=0.9, weight_decay=1e-4)
    losses = []
    for step, views in enumerate(data):
        torch.manual_seed(seed + step)
        MessageHub.get_current_instance().update_info('iter', step)
        loss, _ = model.parse_losses(model.loss(views, None))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach().clone())
    return torch.stack(losses)


def build(tasks, trunk=TRUNK, **kwargs):
    """A MultiSSL of the given tasks."""
    return MultiSSL(copy.deepcopy(trunk), copy.deepcopy(tasks), **kwargs)


def peer_of_kind(kind):
    """mmpretrain's BYOL, SimSiam or Barlow Twins, small."""
    bn = dict(type='BN1d')
    neck = dict(
        type='mmpretrain.NonLinearNeck',
        in_channels=WIDTH,
        hid_channels=32,
        out_channels=DIM,
        norm_cfg=bn)
    predictor = dict(
        neck, in_channels=DIM, with_avg_pool=False, with_last_bn=False)
    heads = dict(
        BYOL=dict(
            type='mmpretrain.LatentPredictHead',
            loss=dict(type='mmpretrain.CosineSimilarityLoss'),
            predictor=predictor),
        SimSiam=dict(
            type='mmpretrain.LatentPredictHead',
            loss=dict(type='mmpretrain.CosineSimilarityLoss'),
            predictor=predictor),
        BarlowTwins=dict(
            type='mmpretrain.LatentCrossCorrelationHead',
            in_channels=DIM,
            loss=dict(type='mmpretrain.CrossCorrelationLoss')))
    algorithm = dict(type=f'mmpretrain.{kind}', neck=neck, head=heads[kind])
    cls = dict(BYOL=BYOL, SimSiam=SimSiam, BarlowTwins=BarlowTwins)[kind]
    assert MMPRETRAIN_MODELS.get(kind) is cls
    return algorithm, cls(TRUNK, neck, heads[kind])
