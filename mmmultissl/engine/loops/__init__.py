# Copyright (c) mmmultissl contributors. All rights reserved.
from mmmultissl.engine.loops.pretrain_loop import PretrainLoop
from mmmultissl.engine.loops.voc07_loop import VOC07Loop, VOC07SVMLoop

__all__ = ['PretrainLoop', 'VOC07Loop', 'VOC07SVMLoop']
