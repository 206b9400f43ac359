# Copyright (c) mmmultissl contributors. All rights reserved.
"""Files in the layouts of other projects, written by their kinds of modules.

Nothing is downloaded: the networks are torchvision's and mmpretrain's own,
with random weights and random statistics, under the attribute names that the
projects use.
"""
import torch
import torchvision
from mmpretrain.models import DenseCLNeck, MoCoV2Neck, ResNet
from torch import nn
from torch.nn.functional import normalize


def randomise(network, seed=0):
    """Give every weight and statistic a value that would be missed."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if name.endswith('running_var'):
                value.uniform_(0.5, 1.5, generator=generator)
            elif value.is_floating_point():
                value.add_(0.05 * torch.randn(
                    value.shape, generator=generator) * (value.dim() == 1))
            else:
                value.fill_(7)
    return network


def training_file(path, network, old_format=False, **more):
    """Save what a training script saves, from a distributed wrapper."""
    optimizer = torch.optim.SGD(network.parameters(), 0.03, momentum=0.9)
    wrapped = nn.DataParallel(network)
    torch.save(
        dict(state_dict=wrapped.state_dict(),
             optimizer=optimizer.state_dict(), **more),
        path,
        _use_new_zipfile_serialization=not old_format)
    return str(path)


class MoCoAuthors(nn.Module):
    """The modules and buffers of the authors' MoCo, by their names."""

    def __init__(self, mlp=True, dim=8, length=24, depth=18):
        super().__init__()
        make = getattr(torchvision.models, f'resnet{depth}')
        self.encoder_q = make(num_classes=dim)
        self.encoder_k = make(num_classes=dim)
        if mlp:
            for encoder in (self.encoder_q, self.encoder_k):
                width = encoder.fc.in_features
                encoder.fc = nn.Sequential(
                    nn.Linear(width, width), nn.ReLU(), encoder.fc)
        randomise(self.encoder_q, 1)
        randomise(self.encoder_k, 2)
        self.register_buffer('queue', normalize(torch.randn(dim, length),
                                                dim=0))
        self.register_buffer('queue_ptr', torch.tensor([16]))


class MoCoV3Authors(nn.Module):
    """The modules of the authors' MoCo v3 with a ResNet, by their names."""

    def __init__(self):
        super().__init__()
        self.base_encoder = randomise(torchvision.models.resnet18(), 1)
        self.momentum_encoder = randomise(torchvision.models.resnet18(), 2)
        for encoder in (self.base_encoder, self.momentum_encoder):
            encoder.fc = nn.Sequential(
                nn.Linear(512, 16, bias=False), nn.BatchNorm1d(16))
        self.predictor = nn.Sequential(nn.Linear(16, 16, bias=False))


def _encoder(neck, seed):
    return randomise(nn.Sequential(ResNet(18), neck), seed)


class OpenSelfSupDenseCL(nn.Module):
    """The modules and buffers of the authors' DenseCL, by their names."""

    def __init__(self, dim=8, length=24):
        super().__init__()
        self.encoder_q = _encoder(DenseCLNeck(512, 512, dim), 1)
        self.encoder_k = _encoder(DenseCLNeck(512, 512, dim), 2)
        self.backbone = self.encoder_q[0]
        for name in ('queue', 'queue2'):
            self.register_buffer(
                name, normalize(torch.randn(dim, length), dim=0))
        self.register_buffer('queue_ptr', torch.tensor([16]))
        self.register_buffer('queue2_ptr', torch.tensor([8]))


class OpenSelfSupBYOL(nn.Module):
    """The modules of OpenSelfSup's BYOL, by their names."""

    def __init__(self):
        super().__init__()
        self.online_net = _encoder(MoCoV2Neck(512, 16, 8), 1)
        self.target_net = _encoder(MoCoV2Neck(512, 16, 8), 2)
        self.backbone = self.online_net[0]
        self.head = nn.Sequential()
        self.head.predictor = MoCoV2Neck(8, 16, 8, with_avg_pool=False)
