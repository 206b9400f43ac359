# Copyright (c) mmmultissl contributors. All rights reserved.
"""Silence that reaches the model is said at the end of training."""
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from mmmultissl.engine.hooks import SkippedSampleHook
from mmmultissl.models import BinauralDataPreprocessor


class Said(list):

    def warning(self, text):
        self.append(text)


@pytest.mark.parametrize('silent, wrapped', [(0, False), (2, False),
                                             (2, True)])
def test_silent_samples_are_counted_and_said(silent, wrapped):
    preprocessor = BinauralDataPreprocessor()
    clips = torch.full((5, 2, 1600), 4000, dtype=torch.int16)
    clips[:, :, ::2] = -4000
    clips[:silent] = 0
    preprocessor(dict(inputs=dict(clip=clips), data_samples=[]), False)

    model = nn.Module()
    model.data_preprocessor = preprocessor
    model = SimpleNamespace(module=model) if wrapped else model
    hook = SkippedSampleHook()
    hook._dataset = SimpleNamespace(unreadable=lambda merge: [])
    said = Said()
    hook.after_train(SimpleNamespace(model=model, logger=said))
    assert [text.split(':')[0] for text in said] == [
        f'{silent} samples were silent and trained on as they are, each '
        'counted as often as it was drawn'] * (silent > 0)
