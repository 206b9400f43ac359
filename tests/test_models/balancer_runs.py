# Copyright (c) mmmultissl contributors. All rights reserved.
"""Small models with every balancer."""
import torch

from mmmultissl.models.tasks import PretextTask
from mmmultissl.registry import MODELS

from . import golden

LOSS_LEVEL = dict(
    fixed=dict(type='FixedWeights', weights=dict(moco=0.5)),
    uncertainty=dict(type='UncertaintyWeights'),
    average=dict(type='DynamicWeightAverage', interval=1, begin_iter=0),
    random=dict(type='RandomLossWeights'),
    geometric=dict(type='GeometricMean'),
    priority=dict(type='DynamicTaskPrioritisation'))
GRADIENT_LEVEL = dict(
    sum=dict(type='GradientSum'),
    pcgrad=dict(type='PCGrad'),
    mgda=dict(type='MGDA', normalise='loss+'),
    cagrad=dict(type='CAGrad'),
    scale=dict(type='GradNormScale'),
    vac=dict(type='GradVac', momentum=0.5),
    imtl=dict(type='IMTLG'),
    gradnorm=dict(type='GradNorm', initial_iters=1, begin_iter=0))
BALANCERS = dict(**LOSS_LEVEL, **GRADIENT_LEVEL)


@MODELS.register_module()
class SignTask(PretextTask):
    """Tells from the features of two views which of them is brighter."""

    def __init__(self):
        super().__init__()
        self.query_views = ('view0', 'view1')
        self.fc = torch.nn.Linear(2 * golden.WIDTH, 1)

    def loss(self, views, data_samples=None):
        pair = [views.query(v)[0].mean((2, 3)) for v in self.query_views]
        logit = self.fc(torch.cat(pair, 1))[:, 0]
        first, second = (views.input(v).mean((1, 2, 3))
                         for v in self.query_views)
        target = (first > second).to(logit)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(
            logit, target)
        right = (logit.detach() > 0) == (target > 0)
        # No accuracy of exactly 0, whose logarithm is cut off.
        return dict(loss=loss, accuracy=0.1 + 0.8 * right.to(logit).mean())


@MODELS.register_module()
class ScoredMoCo(MODELS.get('MoCoV2Task')):
    """MoCo v2 that logs a mean over images between 0 and 1."""

    def loss(self, views, data_samples=None):
        losses = super().loss(views, data_samples)
        return dict(losses, accuracy=losses['loss'].detach() / 20)


MOCO = dict(golden.moco_task(), type='mmmultissl.ScoredMoCo')
TASKS = dict(
    moco=MOCO,
    back=dict(MOCO, query_view='view1', key_view='view0'),
    sign=dict(type='mmmultissl.SignTask'))


def build(name, tasks=TASKS, dtype=torch.float64, **kwargs):
    """A MultiSSL without batch norm; the same weights for every balancer."""
    torch.manual_seed(0)
    cfg = dict(BALANCERS[name])
    cfg['type'] = f'mmmultissl.{cfg["type"]}'
    model = golden.build(tasks, golden.BN_FREE_TRUNK, balancer=cfg, **kwargs)
    return model.to(dtype).train()
