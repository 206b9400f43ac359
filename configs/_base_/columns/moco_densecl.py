# Copyright (c) mmmultissl contributors. All rights reserved.
# Encoders of two single-task runs side by side. Each needs its checkpoint:
#   --cfg-options model.backbone.columns.moco.checkpoint=FILE \
#       model.backbone.columns.densecl.checkpoint=FILE
concat = dict(
    _delete_=True,
    type='mmmultissl.ConcatBackbone',
    columns=dict(moco=dict(checkpoint=None), densecl=dict(checkpoint=None)))
