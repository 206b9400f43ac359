# Copyright (c) mmmultissl contributors. All rights reserved.
"""Balancers: how the losses of several tasks become one."""
from .base import Balancer, GradientBalancer, LossBalancer, TaskLosses
from .cagrad import CAGrad
from .dynamic_task_prioritisation import DynamicTaskPrioritisation
from .dynamic_weight_average import DynamicWeightAverage
from .fixed_weights import FixedWeights
from .geometric_mean import GeometricMean
from .grad_norm import GradNorm
from .grad_norm_scale import GradNormScale
from .grad_vac import GradVac
from .gradient_sum import GradientSum
from .imtl_g import IMTLG
from .mgda import MGDA
from .pcgrad import PCGrad
from .random_loss_weights import RandomLossWeights
from .uncertainty_weights import UncertaintyWeights

__all__ = [
    'Balancer', 'CAGrad', 'DynamicTaskPrioritisation', 'DynamicWeightAverage',
    'FixedWeights', 'GeometricMean', 'GradNorm', 'GradNormScale', 'GradVac',
    'GradientBalancer', 'GradientSum', 'IMTLG', 'LossBalancer', 'MGDA',
    'PCGrad', 'RandomLossWeights', 'TaskLosses', 'UncertaintyWeights'
]
