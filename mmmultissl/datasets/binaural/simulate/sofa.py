# Copyright (c) mmmultissl contributors. All rights reserved.
"""Measured heads from SOFA files (AES69)."""
from pathlib import Path
from typing import Tuple, Union

import numpy as np

from mmmultissl.datasets.binaural.simulate.cues import (interaural_level,
                                                        interaural_time)
from mmmultissl.datasets.binaural.simulate.digest import digest_of
from mmmultissl.datasets.binaural.simulate.head import Head, shift

_CONVENTION = 'SimpleFreeFieldHRIR'
# Directions this close to the horizontal plane, in degrees, belong to it.
_LEVEL = 2.5
# Directions this far to a side, as a sine, say which side it is.
_LATERAL = 0.5
# The part of those directions that has to say the same.
_AGREE = 0.9


def read_sofa(path: Union[str, Path], mirror_back: bool = False) -> Head:
    """Read the horizontal plane of a head from a SOFA file.

    Files differ in the sign of their azimuths, whatever the standard says.
    Which one a file has is measured: from which side its responses come
    earlier and louder to the ear that the file places at the left.

    Args:
        path (str | Path): The file; convention SimpleFreeFieldHRIR.
        mirror_back (bool): If the head was measured in front only, complete
            the directions behind, see :meth:`Head.with_mirrored_back`.
            Defaults to False.

    Returns:
        Head: Azimuths positive to the left; the first ear is the left one.

    Raises:
        FileNotFoundError: If there is no such file.
        ImportError: If h5py is not installed.
        ValueError: If the file is no SOFA file, is of another convention,
            its numbers cannot be those of a head, or its responses do not
            say where left is.
    """
    try:
        import h5py
    except ImportError as error:
        raise ImportError('Reading SOFA files needs h5py: pip install '
                          'h5py.') from error
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f'There is no SOFA file {path}: name one, or use the head '
            '"sphere", which needs no file.')
    try:
        with h5py.File(path, 'r') as file:
            _check_convention(file, path)
            responses, sample_rate = _responses(file, path)
            azimuths, elevations, distances = _directions(
                file, len(responses), path)
            left_first = _left_ear_first(file, path)
    except (OSError, KeyError, IndexError, TypeError) as error:
        raise ValueError(f'{path} cannot be read as a SOFA file ({error}): '
                         'get it anew.') from error

    level = np.abs(elevations) <= _LEVEL
    # Sets at several distances: the farthest is the most like a plane wave.
    if not level.any():
        raise ValueError(f'{path} has no direction within {_LEVEL:g} degrees '
                         'of the horizontal plane: choose another.')
    level &= distances >= distances[level].max() - 0.01
    # Of one azimuth, the response nearest to the horizontal plane is taken.
    level = np.flatnonzero(level)
    level = level[np.argsort(np.abs(elevations[level]), kind='stable')]
    azimuths, first = np.unique(np.round(azimuths[level] % 360., 6),
                                return_index=True)
    responses = responses[level[first]]
    _check_heard(azimuths, responses, path)
    if not left_first:
        responses = responses[:, ::-1]
    sign = _sign_of_left(azimuths, responses, sample_rate, path)
    head = Head(sign * azimuths, responses, sample_rate, path.stem,
                digest_of(path))
    if mirror_back and (np.abs(head.azimuths) <= 90.).all():
        return head.with_mirrored_back()
    return head


def _text(value) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _check_convention(file, path: Path) -> None:
    found = _text(file.attrs.get('SOFAConventions', 'none named'))
    kind = _text(file.attrs.get('DataType', 'none named'))
    if found != _CONVENTION or kind != 'FIR':
        raise ValueError(
            f'{path} has the SOFA convention {found} with data of type '
            f'{kind}, but a head is read from {_CONVENTION} with FIR: '
            'choose such a file.')


def _responses(file, path: Path) -> Tuple[np.ndarray, int]:
    responses = np.asarray(file['Data.IR'], np.float64)
    if responses.ndim != 3 or responses.shape[1] != 2:
        raise ValueError(
            f'{path} holds responses of shape {responses.shape}, but a head '
            'has (directions, 2 ears, samples): choose a binaural file.')
    rate = float(np.ravel(file['Data.SamplingRate'])[0])
    unit = _text(file['Data.SamplingRate'].attrs.get('Units', 'hertz'))
    whole = rate.is_integer() and rate > 0
    if unit.lower() not in ('hertz', 'hz') or not whole:
        raise ValueError(f'{path} has the sampling rate {rate:g} {unit}, but '
                         'a whole number of hertz is needed.')
    delays = np.asarray(file['Data.Delay'], np.float64)
    if (delays.shape not in ((2, ), (1, 2), responses.shape[:2])
            or not (np.abs(delays) <= rate).all()):
        raise ValueError(
            f'{path} has delays of shape {delays.shape} that are not one for '
            'each ear, or not all within a second: choose another.')
    delays = np.broadcast_to(delays, responses.shape[:2])
    if delays.any():
        room = max(int(np.ceil(delays.max())), 0)
        responses = np.pad(responses, ((0, 0), (0, 0), (0, room)))
        for index in np.ndindex(delays.shape):
            responses[index] = shift(responses[index], delays[index])
    return responses, int(rate)


def _spherical(values: np.ndarray, kind: str) -> np.ndarray:
    """Azimuth, elevation in degrees and distance, from either system."""
    values = np.asarray(values, np.float64).reshape(len(values), 3)
    if kind == 'spherical':
        return values.T
    x, y, z = values.T
    return np.stack([
        np.degrees(np.arctan2(y, x)),
        np.degrees(np.arctan2(z, np.hypot(x, y))),
        np.sqrt(x**2 + y**2 + z**2)
    ])


def _directions(file, count: int, path: Path) -> Tuple[np.ndarray, ...]:
    source = file['SourcePosition']
    kind = _text(source.attrs.get('Type', 'none'))
    if kind not in ('spherical', 'cartesian'):
        raise ValueError(f'{path} gives its directions in a system of type '
                         f'{kind}: spherical or cartesian is needed.')
    if len(source) != count or source.size != 3 * count:
        raise ValueError(f'{path} has {source.shape} places for {count} '
                         'responses, but each needs three numbers: choose '
                         'another.')
    if not np.isfinite(source).all():
        raise ValueError(f'{path} has places that are not finite: get it '
                         'anew.')
    azimuths, elevations, distances = _spherical(source, kind)
    if 'ListenerView' in file:
        view = file['ListenerView']
        if view.size not in (3, 3 * count) or not np.isfinite(view).all():
            raise ValueError(f'{path} does not say where its listener looks '
                             'in three finite numbers: choose another.')
        kind = _text(view.attrs.get('Type', 'cartesian'))
        azimuths = azimuths - _spherical(view, kind)[0]
    return azimuths, elevations, distances


def _left_ear_first(file, path: Path) -> bool:
    ears = file['ReceiverPosition']
    places = np.asarray(ears, np.float64)
    # What has another shape places no ears.
    places = places.reshape(2, 3, -1)[..., 0] if (
        places.size and places.size % 6 == 0) else np.zeros((2, 3))
    if _text(ears.attrs.get('Type', 'cartesian')) == 'spherical':
        across = np.sin(np.radians(places[:, 0])) * places[:, 2]
    else:
        across = places[:, 1]
    if not across[0] * across[1] < 0.:
        raise ValueError(f'{path} does not place one ear on each side, so '
                         'left and right are not known: choose another.')
    return bool(across[0] > 0)


def _check_heard(azimuths: np.ndarray, responses: np.ndarray,
                 path: Path) -> None:
    """See that both ears get a finite sound from each direction."""
    bad = ~np.isfinite(responses).all((1, 2))
    if bad.any():
        raise ValueError(f'{path} has a response that is not finite at '
                         f'{azimuths[bad][0]:g} degrees: get it anew.')
    silent = ~np.square(responses).sum(2).all(1)
    if silent.any():
        raise ValueError(f'{path} has a silent ear at '
                         f'{azimuths[silent][0]:g} degrees: choose another.')


def _sign_of_left(azimuths: np.ndarray, responses: np.ndarray,
                  sample_rate: int, path: Path) -> int:
    """1 where the file's positive azimuths are left, -1 where right."""
    votes = []
    for azimuth, pair in zip(np.radians(azimuths), responses):
        if abs(np.sin(azimuth)) >= _LATERAL:
            side = np.sign(np.sin(azimuth))
            votes += [side * np.sign(interaural_time(pair, sample_rate)),
                      side * np.sign(interaural_level(pair))]
    for sign in (1, -1):
        if votes and np.mean(np.array(votes) == sign) >= _AGREE:
            return sign
    raise ValueError(
        f'The responses of {path} do not say which side is left: of '
        f'{len(votes)} time and level differences in its horizontal plane '
        f'{sum(vote > 0 for vote in votes)} say that positive azimuths are, '
        f'{sum(vote < 0 for vote in votes)} that negative ones are.')
