# Copyright (c) mmmultissl contributors. All rights reserved.
"""A picture of what a config feeds its tasks."""
import os.path as osp
import textwrap
from dataclasses import dataclass
from itertools import islice
from typing import Dict, List, NamedTuple, Optional, Tuple

import mmcv
import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, RUNNERS, init_default_scope
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor, nn

from mmmultissl.datasets import SeededDataset
from mmmultissl.models.data_preprocessors import BinauralDataPreprocessor
from mmmultissl.models.selfsup import EncodedViews, MultiSSL
from mmmultissl.models.selfsup.multi_ssl import name_views
from mmmultissl.utils.seeding import seed_step

from .sound_views import label_words, map_pixels, sound_pixels

_MARGIN = 10
_TEXT_SIZE = 13
_LINE = 17
# Crops for small machines have 64 pixels, too few to look at.
_SMALLEST_CELL = 160
_INK = (20, 20, 20)
_FAINT = (110, 110, 110)


@dataclass
class Views:
    """The first images of a run, and what is made of them.

    Args:
        names (list[str]): Paths of the N images.
        sources (list[np.ndarray | None]): The images as they are stored, RGB
            uint8 (H, W, 3); None where they are not files.
        pixels (dict[str, np.ndarray]): View name -> what the networks see,
            de-normalised, RGB uint8 (N, H, W, 3).
        queries (dict[str, tuple[str, ...]]): Task name -> views that it reads
            from the trained trunk.
        keys (dict[str, tuple[str, ...]]): Task name -> views that it reads
            from its EMA trunk.
        companions (dict[str, tuple[str, ...]]): Task name -> views that it
            reads from encoders of another modality.
        notes (list[list[str]]): Lines about each sample, in place of a
            source; empty where there are none.
        seed (int): The seed.
    """

    names: List[str]
    sources: List[Optional[np.ndarray]]
    pixels: Dict[str, np.ndarray]
    queries: Dict[str, Tuple[str, ...]]
    keys: Dict[str, Tuple[str, ...]]
    companions: Dict[str, Tuple[str, ...]]
    notes: List[List[str]]
    seed: int

    def readers(self, view: str) -> List[str]:
        """Say who reads a view.

        Args:
            view (str): Its name.

        Returns:
            list[str]: Such as ``['query of moco, densecl', 'key of byol']``.
        """
        said = []
        for role, wanted in (('query', self.queries), ('key', self.keys),
                             ('companion', self.companions)):
            tasks = [task for task, views in wanted.items() if view in views]
            if tasks:
                said.append(f'{role} of {", ".join(tasks)}')
        return said or ['read by no task']


def make_views(cfg: Config, count: int) -> Views:
    """Make the views of the first images that a run with this config sees.

    They are those of the run's first samples on the first process: the order
    and the augmentation follow from ``randomness.seed``. A config without a
    seed gets 0.

    Args:
        cfg (Config): A pretraining config.
        count (int): How many images.

    Returns:
        Views: The images, their views, and which task reads which.

    Raises:
        ValueError: If the config is not one of MultiSSL, if a task reads a
            view that there is not, or if a view is neither image nor sound.
    """
    if count < 1:
        raise ValueError(f'-n is {count}: ask for at least one image.')
    if not (cfg.get('model') or {}).get('tasks') or not cfg.get(
            'train_dataloader'):
        raise ValueError(
            f'{cfg.filename} has no model.tasks and train_dataloader to show '
            'views of: give a pretraining config, such as those of '
            'configs/multissl.')
    seed = (cfg.get('randomness') or {}).get('seed') or 0
    init_default_scope(cfg.get('default_scope') or 'mmpretrain')
    model = _build_model(cfg)
    first = _first_samples(cfg, count, seed)
    # What the device draws is a function of the step.
    seed_step(seed, rank=0, iteration=0)
    made = model.data_preprocessor(first.batch, True)

    encoded = EncodedViews(
        name_views(made['inputs']), model.backbone, shuffle_keys=False)
    model.derive_views(encoded)
    read = {
        name: tuple(view for _, view in task.companion_views)
        for name, task in model.tasks.items()
    }
    for name, task in model.tasks.items():
        encoded.require(task.query_views + task.key_views + read[name],
                        f'Task "{name}"')
    notes = [[] for _ in range(count)]
    if first.sample_rate:
        notes = [label_words(sample, first.sample_rate)
                 for sample in made['data_samples']]
    return Views(
        names=first.names,
        sources=first.sources,
        pixels={
            name: to_pixels(view, model.data_preprocessor)
            for name, view in encoded.inputs.items()
        },
        queries={n: task.query_views for n, task in model.tasks.items()},
        keys={n: task.key_views for n, task in model.tasks.items()},
        companions=read,
        notes=notes,
        seed=seed)


def _build_model(cfg: Config) -> MultiSSL:
    model = cfg.model.copy()
    if cfg.get('data_preprocessor') is not None:
        model.setdefault('data_preprocessor', cfg.data_preprocessor)
    return MODELS.build(model)


class _First(NamedTuple):
    """The first samples, and where they come from.

    ``sample_rate`` is None where they are no clips of sound.
    """
    batch: dict
    names: List[str]
    sources: List[Optional[np.ndarray]]
    sample_rate: Optional[int]


def _first_samples(cfg: Config, count: int, seed: int) -> _First:
    """Take the first samples as the training loop does, in this process."""
    loader_cfg = dict(
        cfg.train_dataloader,
        batch_size=count,
        num_workers=0,
        persistent_workers=False,
        pin_memory=False,
        dataset=dict(
            type=SeededDataset,
            dataset=cfg.train_dataloader.dataset,
            seed=seed))
    # The runner of the config knows what its loaders need.
    runner = RUNNERS.get(cfg.get('runner_type', 'Runner'))
    loader = runner.build_dataloader(loader_cfg, seed=seed)
    indices = [index for index, _ in islice(iter(loader.sampler), count)]
    batch = next(iter(loader))
    names, sources = [], []
    for position, index in enumerate(indices):
        info = loader.dataset.get_data_info(index)
        path = info.get('img_path')
        # An unreadable image has been replaced by another one.
        samples = batch.get('data_samples')
        if samples is not None:
            path = getattr(samples[position], 'img_path', path)
        names.append(str(path or info.get('name') or f'sample {index}'))
        sources.append(
            mmcv.imread(path, channel_order='rgb') if path else None)
    metainfo = loader.dataset.metainfo or {}
    return _First(batch, names, sources, metainfo.get('sample_rate'))


def to_pixels(view: Tensor, preprocessor: nn.Module) -> np.ndarray:
    """Make a picture of what the networks see.

    Args:
        view (Tensor): Images, ``(N, 3, H, W)``, of which the normalisation is
            taken off again; behind a
            :class:`~mmmultissl.models.BinauralDataPreprocessor` also
            spectrograms ``(N, M, F, T')`` and maps of labels ``(N, H, W)``.
        preprocessor (nn.Module): What made them, with the buffers ``mean``
            and ``std`` if it normalises.

    Returns:
        np.ndarray: RGB, uint8, ``(N, H, W, 3)``.

    Raises:
        ValueError: If they are nothing of these.
    """
    binaural = isinstance(preprocessor, BinauralDataPreprocessor)
    if binaural and view.ndim == 3:
        return map_pixels(view)
    if binaural and view.ndim == 4 and view.size(1) % 2 == 0:
        return sound_pixels(view, preprocessor.spectrogram.mode)
    if view.ndim != 4 or view.size(1) != 3:
        raise ValueError(
            f'A view has the shape {tuple(view.shape)}, and only images '
            '(N, 3, H, W) and binaural sound can be shown: name a config '
            'whose views are such.')
    mean = getattr(preprocessor, 'mean', None)
    if mean is not None:
        view = view * preprocessor.std + mean
    # OpenMMLab loads blue first, and its preprocessor turns that around.
    if not binaural and not getattr(preprocessor, '_channel_conversion',
                                    False):
        view = view.flip(1)
    view = view.round().clamp(0, 255).to(torch.uint8)
    return view.permute(0, 2, 3, 1).cpu().numpy()


def draw_sheet(views: Views, title: str) -> Image.Image:
    """Draw one row per image: as it is stored, then each of its views.

    Args:
        views (Views): What to draw.
        title (str): The words above it.

    Returns:
        Image.Image: The picture.
    """
    font = ImageFont.load_default(_TEXT_SIZE)
    largest = max(max(p.shape[1:3]) for p in views.pixels.values())
    zoom = max(1, -(-_SMALLEST_CELL // largest))
    cell = largest * zoom
    heads = [['labels' if any(views.notes) else 'source']] + [[
        f'{name}, {pixels.shape[2]} x {pixels.shape[1]}',
        *views.readers(name)
    ] for name, pixels in views.pixels.items()]
    per_line = int(cell / font.getlength('n'))
    heads = [[line for text in head for line in textwrap.wrap(text, per_line)]
             for head in heads]

    top = 2 * _MARGIN + _LINE * (1 + max(len(head) for head in heads))
    step = cell + _LINE + _MARGIN
    width = _MARGIN + len(heads) * (cell + _MARGIN)
    sheet = Image.new('RGB', (max(width, int(font.getlength(title)) +
                                  2 * _MARGIN),
                              top + len(views.names) * step), 'white')
    draw = ImageDraw.Draw(sheet)
    draw.text((_MARGIN, _MARGIN // 2), title, _INK, font)
    for column, head in enumerate(heads):
        for row, text in enumerate(head):
            draw.text((_MARGIN + column * (cell + _MARGIN),
                       _MARGIN + _LINE * (1 + row)), text,
                      _FAINT if row else _INK, font)
    for row, (name, source) in enumerate(zip(views.names, views.sources)):
        y = top + row * step
        draw.text((_MARGIN, y + cell + 1), _shortened(name, cell, font),
                  _FAINT, font)
        for number, line in enumerate(views.notes[row]):
            draw.text((_MARGIN, y + _LINE * number),
                      _shortened(line, cell, font), _INK, font)
        pictures = [p[row] for p in views.pixels.values()]
        _paste(sheet, source, _MARGIN, y, cell, fit=True)
        for column, picture in enumerate(pictures, start=1):
            _paste(sheet, picture, _MARGIN + column * (cell + _MARGIN), y,
                   cell, zoom=zoom)
    return sheet


def _paste(sheet: Image.Image,
           picture: Optional[np.ndarray],
           x: int,
           y: int,
           cell: int,
           zoom: int = 1,
           fit: bool = False) -> None:
    if picture is None:
        return
    image = Image.fromarray(picture)
    if fit:
        scale = cell / max(image.size)
        image = image.resize([max(1, round(s * scale)) for s in image.size],
                             Image.Resampling.BICUBIC)
    elif zoom > 1:
        # Every pixel stays to be seen.
        image = image.resize([s * zoom for s in image.size],
                             Image.Resampling.NEAREST)
    sheet.paste(image, (x, y))


def _shortened(path: str, width: int, font: ImageFont.ImageFont) -> str:
    """Cut a file's name to a width, keeping its end."""
    name = osp.basename(path)
    while font.getlength(name) > width and len(name) > 4:
        name = '...' + name.lstrip('.')[1:]
    return name
