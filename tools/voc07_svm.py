#!/usr/bin/env python
# Copyright (c) mmmultissl contributors. All rights reserved.
"""``tools/voc07.py`` with the SVM alone, unless ``--probes`` says otherwise.

    python tools/voc07_svm.py CONFIG CHECKPOINT --data-root VOCdevkit/VOC2007
"""
if __name__ == '__main__':
    import explain_imports  # noqa: F401  (first: it explains the others)

import mmmultissl  # noqa: F401  (first: makes mmmultissl:: configs readable)
from mmmultissl.evaluation.voc07.command import main

if __name__ == '__main__':
    main(probes=('svm', ), out='voc07_svm.json')
