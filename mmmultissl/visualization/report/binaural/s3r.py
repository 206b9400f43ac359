# Copyright (c) mmmultissl contributors. All rights reserved.
"""Predicted sound of another heading, to listen to."""
from html import escape
from typing import Dict

import cv2
import torch
from torch import Tensor

from mmmultissl.evaluation.binaural.s3r_distance import stft_distance

from ...ears import difference_picture
from ..page import Section, paragraphs
from ..pictures import data_uri
from ..runs import RANDOM, WorkDir
from .frames import frame_of, marked_frame, true_marks
from .runs import Predictor
from .sound import players

_CLIPS = 2
_SIZE = 320, 128


def s3r_section(runs: Dict[str, WorkDir]) -> Section:
    """Play what is heard, what is predicted from it, and what is true.

    Args:
        runs (dict[str, WorkDir]): Backbone to the training of its head; the
            last one is played, a pretrained one where there is one.

    Returns:
        Section: The section.
    """
    name = next((name for name in runs if name != RANDOM), RANDOM)
    predictor = Predictor(runs[name])
    clips, numbers = predictor.clips, predictor.first_clips(_CLIPS)
    tool = predictor.model.head.spectrogram
    cards = ''
    for number, sample in zip(numbers, predictor.predict(numbers)):
        headings = clips.get_data_info(number)['headings']
        turn = (headings[1] - headings[0]) % 360
        sounds = {
            'heard': sample.source_waves,
            'predicted': sample.pred_waves[0],
            'true': sample.target_waves[0]
        }
        pictures = ''.join(
            f'<div><span class=soft>{escape(title)}</span><img src="'
            f'{data_uri(_picture(waves, tool))}" alt="{escape(title)}">'
            '</div>' for title, waves in sounds.items())
        marks = true_marks(clips, number, sample, 'var(--c2)')
        frame = marked_frame(
            frame_of(clips, number, sample.heading), marks,
            clips.folder.panorama)
        off = {
            title: float(stft_distance(waves, sounds['true'], tool))
            for title, waves in sounds.items()
        }
        cards += (
            f'<figure class=card><h3>head turned by {turn:.0f}°</h3>{frame}'
            f'<div class=ears>{pictures}</div>' +
            players({title: waves.numpy()
                     for title, waves in sounds.items()},
                    clips.folder.sample_rate) +
            f'<figcaption>STFT distance to the truth: heard {off["heard"]:.2f}'
            f', predicted {off["predicted"]:.2f}</figcaption></figure>')
    caption = paragraphs(
        f'The middle clip of each of the first {len(numbers)} held-out '
        'recordings. From what two ears hear, what would they hear with the '
        f'head turned to the left? By the head on the backbone "{name}", '
        'which stayed as it is. The frame is that of the sound that is heard.',
        'Pictures: orange where the left ear is louder, blue where the right '
        'one is. The three players of a clip have one loudness; listen with '
        'headphones.')
    return Section('Spatial sound super-resolution', caption,
                   f'<div class="grid pairs">{cards}</div>')


@torch.no_grad()
def _picture(waves: Tensor, tool: torch.nn.Module):
    power = tool.stft(waves).abs().square().numpy()
    return cv2.resize(difference_picture(power), _SIZE)
