# Copyright (c) mmmultissl contributors. All rights reserved.
# configs/incremental at the size of the demo: a row of binaural_demo.py.
_base_ = [
    '../../demo/binaural_demo.py', '../../_base_/stages/binaural_euclidean.py'
]

total_updates = 300
