# Copyright (c) mmmultissl contributors. All rights reserved.
"""Mixed precision that needs no loss scale, on the CPU too."""
from contextlib import contextmanager

import torch
import torch.nn as nn
from mmengine.device import get_device
from mmengine.optim import OptimWrapper

from mmmultissl.registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class Bf16OptimWrapper(OptimWrapper):
    """Runs the forward pass under bfloat16 autocast.

    mmengine's ``AmpOptimWrapper`` refuses to run without an accelerator and
    scales the loss, which bfloat16, with float32's range, does not need.
    Weights, gradients and the optimiser stay in float32.

    Args:
        **kwargs: Arguments of ``mmengine.optim.OptimWrapper``, such as
            ``optimizer`` and ``accumulative_counts``.
    """

    @contextmanager
    def optim_context(self, model: nn.Module):
        """Enter autocast, and what gradient accumulation needs.

        Args:
            model (nn.Module): The model that is trained.
        """
        device = torch.device(get_device()).type
        with super().optim_context(model), torch.autocast(
                device, dtype=torch.bfloat16):
            yield
