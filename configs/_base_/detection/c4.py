# Copyright (c) mmmultissl contributors. All rights reserved.
# The fourth stage is the head that all regions share, with one more batch norm
# behind it (MoCo, arXiv:1911.05722, section 4.2). Strides, pixels and weights
# are those of pretraining, not Caffe's.
_base_ = './fine_tuning.py'

depth, widths = _base_.backbone.depth, _base_.backbone.widths
c4 = dict(
    data_preprocessor=dict(
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True),
    backbone=dict(style='pytorch', **_base_.tuned),
    rpn_head=dict(in_channels=widths[2], feat_channels=widths[2]),
    roi_head=dict(
        shared_head=dict(
            type='mmmultissl.NormedResLayer',
            out_channels=widths[3],
            depth=depth,
            style='pytorch',
            norm_eval=False,
            norm_cfg=_base_.tuned.norm_cfg,
            init_cfg=_base_.tuned.init_cfg),
        bbox_roi_extractor=dict(out_channels=widths[2]),
        bbox_head=dict(in_channels=widths[3])))
del depth, widths
