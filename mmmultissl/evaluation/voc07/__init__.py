# Copyright (c) mmmultissl contributors. All rights reserved.
from mmmultissl.evaluation.voc07.protocol import (PRESETS, PROBES,
                                                  VOC07Protocol, make_protocol,
                                                  use_preset)
from mmmultissl.evaluation.voc07.suite import evaluate_voc07, metrics_of

__all__ = [
    'PRESETS', 'PROBES', 'VOC07Protocol', 'evaluate_voc07', 'make_protocol',
    'metrics_of', 'use_preset'
]
