# Copyright (c) mmmultissl contributors. All rights reserved.
from mmmultissl.datasets.samplers.pass_sampler import PassSampler

__all__ = ['PassSampler']
