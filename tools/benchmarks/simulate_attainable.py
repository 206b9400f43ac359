# Copyright (c) mmmultissl contributors. All rights reserved.
"""What the pretext tasks can attain on simulated scenes, from their labels.

    python tools/benchmarks/simulate_attainable.py --sources 1 1

Nothing is rendered. An observer knows class and azimuth of what sounds, to
``--resolution`` degrees, at the middle of a clip, and which way the scene
turns; where that does not decide, it guesses. Each task's accuracy is
averaged over anchors of drawn scenes:

- spatial alignment: true against rotated by 90, 180 or 270 degrees, for an
  observer that has interaural differences alone and takes front for back; one
  that knows the azimuth always decides it, as a turn moves it by 90 degrees;
- synchronisation: true against shifted by one to --max-gap clips;
- gap: how many clips, of one to --max-gap, lie between two clips, later or
  earlier.
"""
import argparse
from typing import List, Sequence

import numpy as np

from mmmultissl.datasets.binaural.simulate.scene import (SceneSettings, Source,
                                                         draw_sources)
from mmmultissl.datasets.binaural.simulate.splits import SPLITS
from mmmultissl.datasets.binaural.simulate.synthesised import SynthesisedSounds

_ROTATIONS = (90., 180., 270.)


def main() -> None:
    """Draw scenes and print the accuracies."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--sources', type=int, nargs=2, default=[1, 3])
    parser.add_argument('--moving', type=float, default=1.)
    parser.add_argument('--off', type=float, nargs=2, default=[0.5, 2.])
    parser.add_argument('--split', choices=SPLITS, default='test')
    parser.add_argument('--split-by', nargs='*',
                        default=['source', 'direction'])
    parser.add_argument('--resolution', type=float, default=10.)
    parser.add_argument('--max-gap', type=int, default=5)
    parser.add_argument('--recordings', type=int, default=200)
    args = parser.parse_args()
    settings = SceneSettings(
        sources=tuple(args.sources),
        moving=args.moving,
        off=tuple(args.off),
        frame_size=(64, 32))
    sounds = SynthesisedSounds(settings.sample_rate, originals=1)
    rng = np.random.default_rng(0)
    right = dict(spatial_lateral=[], synchronisation=[], gap=[])
    for _ in range(args.recordings):
        sources = draw_sources(rng, settings, sounds, args.split,
                               tuple(args.split_by))
        last = settings.seconds - settings.clip_seconds / 2
        for time in np.arange(settings.clip_seconds / 2, last + .01):
            here = _heard(sources, time)
            if here:
                _judge(right, sources, here, time, settings, args.resolution,
                       range(1, args.max_gap + 1))
    print(f'{args.split}, {args.sources[0]} to {args.sources[1]} sources, '
          f'{args.moving:.0%} moving, silences of {args.off[0]:g} to '
          f'{args.off[1]:g} s, {args.resolution:g} degrees:')
    for task, scores in right.items():
        print(f'  {task:16s} {np.mean(scores):6.1%} of {len(scores)}')


def _heard(sources: List[Source], time: float) -> List[Source]:
    return [source for source in sources if source.sounds_at(time)]


def _judge(right: dict, sources: List[Source], here: List[Source],
           time: float, settings: SceneSettings, resolution: float,
           gaps: Sequence[int]) -> None:
    azimuths = np.array([float(s.azimuth_at(time)) for s in here])
    for turn in _ROTATIONS:
        # Which source is which is told by its class.
        moved = np.abs(_lateral(azimuths) - _lateral(azimuths - turn))
        right['spatial_lateral'].append(
            1. if moved.max() > resolution else .5)
    length = settings.clip_seconds
    for gap in gaps:
        for later in (time + gap * length, time - gap * length):
            if not length / 2 <= later <= settings.seconds - length / 2:
                continue
            there = _heard(sources, later)
            if not there:  # the index has no clip there
                continue
            common = [s for s in here if any(s is other for other in there)]
            moved = [_gap(s.azimuth_at(time), s.azimuth_at(later))
                     for s in common]
            same = len(common) == len(here) == len(there) and max(
                moved, default=0.) <= resolution
            right['synchronisation'].append(.5 if same else 1.)
            # The scene turns as a whole, so one common source suffices.
            known = common and common[0].speed and min(
                _gap(common[0].speed * length * (gap - sign * other), 0.)
                for other in gaps for sign in (1, -1)
                if other != gap) > resolution
            right['gap'].append(1. if known else 1 / len(gaps))


def _lateral(azimuth: np.ndarray) -> np.ndarray:
    return np.degrees(np.arcsin(np.sin(np.radians(azimuth))))


def _gap(first: float, second: float) -> float:
    return abs((float(first) - float(second) + 180.) % 360. - 180.)


if __name__ == '__main__':
    main()
