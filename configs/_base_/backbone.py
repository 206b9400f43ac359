# Copyright (c) mmmultissl contributors. All rights reserved.
# The variable BACKBONE names the network of pretraining, VOC07 and detection:
#   export BACKBONE=resnet101
# The widths of all that reads its features follow. Without it, configs named
# r50 take `backbone` and those for one small machine `small_backbone`.
resnets = {
    f'resnet{depth}':
    dict(depth=depth, widths=[width * 2**stage for stage in range(4)])
    for depth, width in [(18, 64), (34, 64), (50, 256), (101, 256), (152, 256)]
}
backbone = resnets.get('{{$BACKBONE:resnet50}}')
small_backbone = resnets.get('{{$BACKBONE:resnet18}}')
if backbone is None:
    raise ValueError(
        'The variable BACKBONE is "{{$BACKBONE:resnet50}}", which is no '
        f'backbone of these configs: set it to one of {", ".join(resnets)}, '
        'or unset it.')
del resnets
