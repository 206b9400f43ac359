# Copyright (c) mmmultissl contributors. All rights reserved.
"""The head of C4 detectors: a ResNet's last stage and one more norm."""
from typing import Optional, Union

import torch
from mmcv.cnn import build_norm_layer
from mmengine.model import BaseModule

from mmmultissl.registry import MODELS


@MODELS.register_module()
class NormedResLayer(BaseModule):
    """mmdet's ``ResLayer`` with one more norm behind it.

    MoCo (arXiv:1911.05722, section 4.2) puts it there so that the features
    of a self-supervised network, whose scale is not that of a supervised one,
    reach the newly made layers calibrated. The stage is a module of its own,
    so that ``init_cfg`` of type ``Pretrained`` with the prefix ``backbone.``
    must fill all of it and leaves the new norm alone.

    Args:
        out_channels (int): Channels of the stage's output.
        norm_cfg (dict): The norm of the stage and of the layer behind it.
            Defaults to ``dict(type='BN')``.
        init_cfg (dict | list[dict], optional): Where the stage's weights are
            from. Defaults to None, mmdet's random initialisation.
        **res_layer: Other arguments of :class:`mmdet.models.ResLayer`, such
            as ``depth``, ``stage``, ``stride`` and ``style``.
    """

    def __init__(self,
                 out_channels: int,
                 norm_cfg: Optional[dict] = None,
                 init_cfg: Union[dict, list, None] = None,
                 **res_layer) -> None:
        super().__init__()
        norm_cfg = norm_cfg or dict(type='BN')
        self.res_layer = MODELS.build(
            dict(
                type='mmdet.ResLayer',
                norm_cfg=norm_cfg,
                init_cfg=init_cfg,
                **res_layer))
        self.norm = build_norm_layer(norm_cfg, out_channels)[1]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute the features of regions.

        Args:
            x (Tensor): Regions of the stage before, (N, C, H, W).

        Returns:
            Tensor: Their features, (N, out_channels, H / 2, W / 2) with
            ResNet's stride of 2.
        """
        return self.norm(self.res_layer(x))
