# Copyright (c) mmmultissl contributors. All rights reserved.
# Encoders of the three binaural tasks, trained one by one, side by side. Each
# needs its checkpoint, as model.backbone.columns.spatial.checkpoint=FILE.
concat = dict(
    _delete_=True,
    type='mmmultissl.ConcatBackbone',
    columns=dict(
        spatial=dict(checkpoint=None),
        foreground=dict(checkpoint=None),
        gap=dict(checkpoint=None)))
