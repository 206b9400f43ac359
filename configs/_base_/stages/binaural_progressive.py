# Copyright (c) mmmultissl contributors. All rights reserved.
# A progressive network: every stage draws an encoder of its own, which reads
# those of the stages before through adapters; these stay as they are.
_base_ = './binaural_euclidean.py'

column = dict(columns=True, distill=None)
stages = dict(spatial=column, foreground=column, gap=column)
