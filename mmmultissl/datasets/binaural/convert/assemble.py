# Copyright (c) mmmultissl contributors. All rights reserved.
"""From the sound and the pictures of one source to a recording."""
from typing import (Callable, Iterator, List, NamedTuple, Optional, Sequence,
                    Tuple)

import numpy as np

from mmmultissl.datasets.binaural.convert.anchors import clip_starts
from mmmultissl.datasets.binaural.convert.checks import SILENCE, rms, to_int16
from mmmultissl.datasets.binaural.convert.foreground import (NO_FOREGROUND,
                                                             difference_masks)
from mmmultissl.datasets.binaural.convert.job import Recording
from mmmultissl.datasets.binaural.convert.pictures import jpeg, png
from mmmultissl.datasets.binaural.convert.unusable import UnusableFile

# A share of samples at full scale that is heard as distortion (our choice).
_CLIPPED = 1e-3
QUIETER = 'kept, but made quieter: above full scale'

# From times in seconds, ascending, to the pictures shown then.
Pictures = Callable[[Sequence[float]], Iterator[Tuple[int, np.ndarray]]]


class ClipSettings(NamedTuple):
    """What the converters of single files have in common.

    Attributes:
        sample_rate (int): Of the result.
        clip_seconds (float): Length of the clips that the index lists.
        hop_seconds (float): From the start of one clip to the next.
        height (int): Of the frames in pixels; larger ones are reduced.
        foreground (bool): Whether what moves is marked, see
            :mod:`.foreground`; for cameras that stand still.
        shares (tuple[float]): Of train, val and test, for what comes without
            a split.
    """
    sample_rate: int = 16000
    clip_seconds: float = 2.
    hop_seconds: float = 2.
    height: int = 240
    foreground: bool = False
    shares: Tuple[float, float, float] = (0.8, 0.1, 0.1)

    def info(self) -> dict:
        """What ``dataset.json`` says of them.

        Returns:
            dict: With which a folder can be continued.
        """
        return dict(
            clip_seconds=self.clip_seconds,
            hop_seconds=self.hop_seconds,
            frame_height=self.height,
            foreground='difference' if self.foreground else 'none',
            shares=list(self.shares))


def assemble(name: str,
             samples: np.ndarray,
             pictures: Optional[Pictures],
             settings: ClipSettings,
             headings: Sequence[float] = (0., ),
             clipped: float = 0.,
             **columns) -> Recording:
    """Cut a recording into clips, each with the frame at its centre.

    Args:
        name (str): Of the recording.
        samples (np.ndarray): Binaural pairs, (samples, 2 * pairs), float, at
            the sampling rate of the result.
        pictures (Callable, optional): Gives the pictures at times since the
            first sample; None for sound alone.
        settings (ClipSettings): How.
        headings (Sequence[float]): Of the pairs. Defaults to (0, ).
        clipped (float): Share of the file's own samples that were cut off at
            full scale; resampling hides them. Defaults to 0.
        **columns: Further columns of the index, the same for all clips.

    Returns:
        Recording: Its clips; silent ones, and those without a frame where
        there are pictures, are left out and said. Sound above full scale is
        made quieter as a whole; clipped sound is kept and said.

    Raises:
        UnusableFile: If no clip is left, or a channel becomes silent where
            another one is far above full scale.
    """
    rate = settings.sample_rate
    audio, factor = to_int16(samples)
    if factor < 1 and any(
            factor * rms(channel) < SILENCE <= rms(channel)
            for channel in samples.T):
        raise UnusableFile('so far above full scale that an ear is silent',
                           f'{1 / factor:.3g} times')
    clip = round(settings.clip_seconds * rate)
    all_starts = clip_starts(
        len(samples), rate, settings.clip_seconds, settings.hop_seconds)
    if not all_starts:
        raise UnusableFile('shorter than a clip',
                           f'{len(samples) / rate:.1f} s')
    left_out: List[Tuple[str, str]] = []

    def leave_out(count: int, reason: str) -> None:
        if count:
            left_out.append((f'{count} of {len(all_starts)} clips', reason))

    starts = [
        start for start in all_starts
        if rms(samples[start:start + clip]) >= SILENCE
    ]
    leave_out(len(all_starts) - len(starts), 'silent clips')
    files, frames, masks = {}, {}, {}
    if pictures is not None:
        times = [(start + clip / 2) / rate for start in starts]
        seen = []
        for i, picture in pictures(times):
            frames[starts[i]] = f'frames/{name}/{starts[i]:09d}.jpg'
            files[frames[starts[i]]] = jpeg(picture)
            if settings.foreground:
                seen.append(picture)
        leave_out(
            len(starts) - len(frames),
            'no readable frame at the centre of the clip')
        starts = [start for start in starts if start in frames]
        if settings.foreground and starts:
            try:
                for start, mask in zip(starts, difference_masks(seen)):
                    if mask.any():
                        masks[start] = f'foreground/{name}/{start:09d}.png'
                        files[masks[start]] = png(mask)
                if len(masks) < len(starts):
                    left_out.append(
                        (f'{len(starts) - len(masks)} of {len(starts)} '
                         'foreground masks', NO_FOREGROUND))
            except UnusableFile as error:
                left_out.append(('foreground', str(error)))
    if not starts:
        raise UnusableFile('no usable clip',
                           '; '.join(': '.join(pair) for pair in left_out))
    if clipped > _CLIPPED:
        left_out.append(('', 'kept, but clipped: more than 1 in 1,000 samples '
                         'at full scale'))
    elif factor < 1:
        left_out.append(('', QUIETER))
    rows = [
        dict(
            start=start,
            frame=frames.get(start, ''),
            foreground=masks.get(start, ''),
            headings=tuple(headings),
            **columns) for start in starts
    ]
    return Recording(audio, rows, files, left_out)
