# Copyright (c) mmmultissl contributors. All rights reserved.
"""Clips to look at and to listen to: frame, both ears, their difference."""
from html import escape

import cv2
import torch

from ...ears import RANGE, STRONG, difference_picture, ear_pictures
from ..page import Section, paragraphs
from ..pictures import data_uri
from .frames import frame_of, marked_frame, true_marks
from .runs import Predictor
from .sound import players

_CLIPS = 4
_SIZE = 320, 128


def listening_section(predictor: Predictor) -> Section:
    """Show some held-out clips.

    Args:
        predictor (Predictor): Of any task whose clips have frames.

    Returns:
        Section: The section.
    """
    clips = predictor.clips
    numbers = predictor.first_clips(_CLIPS)
    transform = predictor.model.data_preprocessor.spectrogram
    rate = clips.folder.sample_rate
    cards = ''
    for number in numbers:
        item = clips[number]
        sample = item['data_samples']
        ears = item['inputs']['clip'].float() / 2**15
        with torch.no_grad():
            power = transform.stft(ears).abs().square().numpy()
        marks = true_marks(clips, number, sample, 'var(--c2)')
        frame = marked_frame(
            frame_of(clips, number, sample.heading), marks,
            clips.folder.panorama)
        pictures = ''.join(
            f'<div><span class=soft>{name}</span><img src="'
            f'{data_uri(cv2.resize(picture, _SIZE))}" alt="{name}"></div>'
            for name, picture in zip(
                ('left ear', 'right ear', 'difference'),
                (*ear_pictures(power), difference_picture(power))))
        where = ', '.join(f'{mark.name} at {mark.azimuth:.0f}°'
                          for mark in marks)
        cards += (f'<figure class=card><h3>{escape(where or "a clip")}</h3>'
                  f'{frame}<div class=ears>{pictures}</div>'
                  + players({'both ears': ears.numpy()}, rate) + '</figure>')
    seconds = clips.clip_length / rate
    caption = paragraphs(
        f'The middle clip of each of the first {len(numbers)} held-out '
        'recordings. The frame shows all directions: its middle is straight '
        'ahead, azimuths grow to the left, and the line is where the index '
        'says that the source is.',
        f'Below it, what each ear hears: {seconds:g} s from left to right, '
        f'0 to {rate / 2000:g} kHz from bottom to top, '
        f'{RANGE:.0f} dB from dark to bright. Difference: orange where the '
        f'left ear is louder, blue where the right one is, full at '
        f'{STRONG:.0f} dB; faint points are grey. Listen with headphones.')
    return Section('What is heard', caption,
                   f'<div class="grid pairs">{cards}</div>')
