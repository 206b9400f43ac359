# Copyright (c) mmmultissl contributors. All rights reserved.
"""Activations computed a second time in the backward pass, not kept."""
from contextlib import contextmanager, nullcontext
from typing import Iterator, Sequence

import torch
import torch.nn as nn
from torch.utils.checkpoint import checkpoint


@contextmanager
def _copied_buffers(module: nn.Module) -> Iterator[None]:
    """Let a module write to copies of its buffers, and give it back its own.

    In training, batch norm writes its running statistics and reads none.
    """
    own = [(each, dict(each._buffers)) for each in module.modules()]
    for each, buffers in own:
        for name, buffer in buffers.items():
            if buffer is not None:
                each._buffers[name] = buffer.clone()
    try:
        yield
    finally:
        for each, buffers in own:
            each._buffers.update(buffers)


class _Recomputed:
    """The forward pass of a module that keeps its input only."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module

    def forward(self, *inputs):
        module = self.module
        if not torch.is_grad_enabled():
            return type(module).forward(module, *inputs)

        return checkpoint(
            type(module).forward,
            module,
            *inputs,
            use_reentrant=False,
            context_fn=lambda: (nullcontext(), _copied_buffers(module)))


def recompute(model: nn.Module, names: Sequence[str]) -> None:
    """Let parts of a model keep their input instead of all activations.

    A part is computed again when its gradient is needed (Chen et al.,
    arXiv:1604.06174). Unlike ``with_cp`` of OpenMMLab's backbones, the second
    pass leaves the running statistics of batch norm alone, so that training
    is the same with it and without, bit for bit.

    Args:
        model (nn.Module): The model, such as a ResNet.
        names (Sequence[str]): Names of its submodules, such as ``'layer1'``.

    Raises:
        ValueError: If the model has no such part.
    """
    parts = dict(model.named_modules())
    for name in names:
        if name not in parts or not name:
            children = ', '.join(key for key, _ in model.named_children())
            raise ValueError(
                f'{type(model).__name__} has no part "{name}" to recompute: '
                f'name some of {children} in model.recompute, or [] for none.')
        parts[name].forward = _Recomputed(parts[name]).forward
