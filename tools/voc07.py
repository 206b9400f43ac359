#!/usr/bin/env python
# Copyright (c) mmmultissl contributors. All rights reserved.
"""VOC07 evaluation of a checkpoint, with the backbone of any config.

    python tools/voc07.py CONFIG CHECKPOINT --data-root VOCdevkit/VOC2007

SVM, low-shot SVM, logistic regression and nearest neighbours; see
docs/voc07.md. CONFIG is a pretraining config, whose backbone and pixel
statistics are taken, or one of configs/voc07. CHECKPOINT may be the word
``random`` for a randomly initialised backbone, the control.
"""
if __name__ == '__main__':
    import explain_imports  # noqa: F401  (first: it explains the others)

import mmmultissl  # noqa: F401  (first: makes mmmultissl:: configs readable)
from mmmultissl.evaluation.voc07.command import main

if __name__ == '__main__':
    main()
